//! The contract against a real nats-server: provisioning, direct gets, republished headers.

use std::time::Duration;

use async_nats::jetstream::{self, Context, kv::Operation, message::PublishMessage};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{FutureExt as _, StreamExt};
use natterjack_nats::{
    Conversation, EdgeId, Shards, UserId, cluster,
    direct::{self, Bounds, DirectError},
    headers,
    provision::{ProvisionError, Report, provision},
    subjects::{chat, kv, live, presence},
    topology::{Bucket, Settings, chat_stream},
};
use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};

const BOUNDS: Bounds = Bounds {
    messages: 100,
    bytes: 1 << 20,
    timeout: Duration::from_secs(5),
};

struct Fixture {
    context: Context,
    server: NatsServer,
    _dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress)
            .await
            .expect("tools");
        let server = NatsServer::start(&tools, NatsConfig::new(dir.path()))
            .await
            .expect("nats-server");
        let client = cluster::connect(&server.url(), "contract test", |_| {})
            .await
            .expect("a connection");
        Self {
            context: jetstream::new(client),
            server,
            _dir: dir,
        }
    }

    async fn publish(
        &self,
        shards: Shards,
        conversation: &Conversation,
        id: &str,
        text: &str,
    ) -> (u64, bool) {
        let message = PublishMessage::build()
            .message_id(id)
            .payload(text.to_owned().into());
        let subject = chat::subject(shards, conversation);
        let ack = self
            .context
            .send_publish(subject, message)
            .await
            .expect("sent")
            .await
            .expect("stored");
        (ack.sequence, ack.duplicate)
    }
}

fn settings(shards: u16) -> Settings {
    Settings {
        shards: Shards::new(shards).expect("in range"),
        chat_bytes_max: 8 << 20,
        ..Settings::default()
    }
}

#[tokio::test]
async fn provisioning_is_idempotent_reports_drift_and_refuses_other_shards() {
    let fixture = Fixture::new().await;
    assert!(matches!(
        cluster::shards(&fixture.context).await,
        Err(cluster::JoinError::NotProvisioned)
    ));

    let client = fixture.context.client();
    let mut changes = client
        .subscribe("$JS.API.STREAM.UPDATE.>")
        .await
        .expect("subscribed");
    client.flush().await.expect("subscribed");
    let first = provision(&fixture.context, &settings(2), false)
        .await
        .expect("provisioned");
    // It came before what the server answered last.
    let changed = changes.next().now_or_never().flatten();
    assert!(
        changed.is_none(),
        "cut in between, it would leave what is not as it should be: {:?}",
        changed.map(|request| request.subject)
    );
    drop(changes);
    assert_eq!(
        first.created.len(),
        5 + 9 + 10 + 1,
        "streams, buckets, consumers, the key of Web Push: {:?}",
        first.created
    );
    assert_eq!(
        cluster::shards(&fixture.context).await.expect("recorded").count(),
        2
    );
    let second = provision(&fixture.context, &settings(2), false)
        .await
        .expect("again");
    assert_eq!(second, Report::default());

    let wanted = Settings {
        chat_bytes_max: 16 << 20,
        ..settings(2)
    };
    let drift = provision(&fixture.context, &wanted, false)
        .await
        .expect("reported")
        .drift;
    assert!(
        drift
            .iter()
            .any(|drift| drift.of == "stream CHAT_0" && drift.setting == "max_bytes"),
        "{drift:?}"
    );
    let applied = provision(&fixture.context, &wanted, true).await.expect("applied");
    assert!(
        applied.updated.contains(&"stream CHAT_1".to_owned()),
        "{applied:?}"
    );
    let settled = provision(&fixture.context, &wanted, false)
        .await
        .expect("settled");
    assert_eq!(settled.drift, []);

    let refused = provision(&fixture.context, &settings(3), true)
        .await
        .expect_err("shards never change");
    assert!(matches!(refused, ProvisionError::Shards { found: 2, wanted: 3 }));
}

/// The public half as clients read it.
async fn told(context: &Context) -> String {
    let bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .expect("there");
    let value = bucket.get(kv::cluster::VAPID).await.expect("read").expect("told");
    String::from_utf8(value.to_vec()).expect("text")
}

#[tokio::test]
async fn the_key_of_web_push_is_made_once_and_never_replaced() {
    let fixture = Fixture::new().await;
    let context = &fixture.context;
    assert!(matches!(
        cluster::vapid(context).await,
        Err(cluster::JoinError::NotProvisioned)
    ));
    // All at once: they agree on one.
    let settings = settings(1);
    let made = futures::future::join_all((0..4).map(|_| provision(context, &settings, false))).await;
    let made = made.into_iter().filter_map(Result::ok);
    let makers = made.filter(|report| report.created.contains(&"key vapid".to_owned()));
    assert_eq!(makers.count(), 1);
    let first = cluster::vapid(context).await.expect("kept");
    // As the Push API wants it: an uncompressed point on P-256.
    let point = BASE64_URL_SAFE_NO_PAD
        .decode(&first.public_key)
        .expect("base64url");
    assert_eq!((point.len(), point[0]), (65, 4));
    assert_eq!(told(context).await, first.public_key);
    assert!(first.created_at > 1_577_836_800_000, "{}", first.created_at);
    assert!(!format!("{first:?}").contains(&first.private_key));

    let again = provision(context, &settings, true).await.expect("again");
    assert_eq!(again, Report::default());
    assert_eq!(cluster::vapid(context).await.expect("kept"), first);

    // Died between the two halves: the public one is told later.
    let cluster_bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .expect("there");
    cluster_bucket.delete(kv::cluster::VAPID).await.expect("deleted");
    provision(context, &settings, false).await.expect("told again");
    assert_eq!(told(context).await, first.public_key);

    // Another public half is reported, and put right if that is wanted.
    cluster_bucket
        .put(kv::cluster::VAPID, "another".into())
        .await
        .expect("put");
    let drift = provision(context, &settings, false)
        .await
        .expect("reported")
        .drift;
    assert_eq!(
        (drift[0].of.as_str(), drift[0].found.as_str()),
        ("key vapid", "another")
    );
    provision(context, &settings, true).await.expect("put right");
    assert_eq!(told(context).await, first.public_key);

    // A private half that is lost or broken is not replaced silently.
    let keys = context
        .get_key_value(Bucket::PushKeys.name())
        .await
        .expect("there");
    keys.put(kv::push_keys::VAPID, "{}".into()).await.expect("put");
    let refused = provision(context, &settings, true).await.expect_err("broken");
    assert!(refused.to_string().contains("backup"), "{refused}");
    assert!(matches!(
        cluster::vapid(context).await,
        Err(cluster::JoinError::BadVapid)
    ));
    keys.delete(kv::push_keys::VAPID).await.expect("deleted");
    let refused = provision(context, &settings, true).await.expect_err("lost");
    assert!(refused.to_string().contains("subscribe anew"), "{refused}");
    assert_eq!(told(context).await, first.public_key);
}

#[tokio::test]
async fn a_stored_message_is_republished_with_its_predecessor() {
    let fixture = Fixture::new().await;
    let shards = settings(1).shards;
    provision(&fixture.context, &settings(1), false)
        .await
        .expect("provisioned");
    let (a, b) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
    let (dm, log) = (Conversation::dm(a, b), Conversation::User(a));
    let client = fixture.context.client();
    let mut heard = client
        .subscribe(live::of_user(b)[1].clone())
        .await
        .expect("subscribed");

    let (first, _) = fixture.publish(shards, &dm, "1", "one").await;
    fixture.publish(shards, &log, "2", "not for b").await;
    let (second, _) = fixture.publish(shards, &dm, "3", "two").await;
    assert_eq!(
        fixture.publish(shards, &dm, "3", "two").await,
        (second, true),
        "the same id gets the first ack"
    );

    for (seq, prev, text) in [(first, 0, "one"), (second, first, "two")] {
        let message = heard.next().await.expect("republished");
        let position = headers::position(message.headers.as_ref()).expect("a stored message has a place");
        assert_eq!(
            (position.seq, position.prev, &message.payload[..]),
            (seq, prev, text.as_bytes())
        );
        assert_eq!(live::parse(&message.subject), Some(dm));
    }
    client
        .publish(live::subject(&dm), "typing".into())
        .await
        .expect("published");
    assert_eq!(
        headers::position(heard.next().await.expect("heard").headers.as_ref()),
        None
    );
}

#[tokio::test]
async fn direct_gets_are_bounded_and_say_whether_there_is_more() {
    let fixture = Fixture::new().await;
    let shards = settings(1).shards;
    provision(&fixture.context, &settings(1), false)
        .await
        .expect("provisioned");
    let users: Vec<UserId> = (1..=3).map(|n| UserId::from_parts(n, n.into())).collect();
    let (ab, ac) = (
        Conversation::dm(users[0], users[1]),
        Conversation::dm(users[0], users[2]),
    );
    let big = "x".repeat(10_000);
    for n in 0..10 {
        fixture.publish(shards, &ab, &format!("ab{n}"), &big).await;
        fixture.publish(shards, &ac, &format!("ac{n}"), "small").await;
    }
    let client = fixture.context.client();
    let stream = chat_stream(shards.of(&ab));

    let all = direct::next_by_subject(&client, &stream, &chat::subject(shards, &ac), 5, BOUNDS)
        .await
        .expect("read");
    assert_eq!(
        all.messages.iter().map(|m| m.seq).collect::<Vec<_>>(),
        [6, 8, 10, 12, 14, 16, 18, 20]
    );
    assert!(!all.more);
    let counted = Bounds {
        messages: 3,
        ..BOUNDS
    };
    let some = direct::next_by_subject(&client, &stream, &chat::subject(shards, &ac), 0, counted)
        .await
        .expect("read");
    assert_eq!((some.messages.len(), some.more), (3, true));
    let narrow = Bounds {
        bytes: 25_000,
        ..BOUNDS
    };
    let some = direct::next_by_subject(&client, &stream, &chat::subject(shards, &ab), 0, narrow)
        .await
        .expect("read");
    assert!(
        (2..=3).contains(&some.messages.len()) && some.more,
        "{} messages",
        some.messages.len()
    );

    let wildcard = format!("chat.0.dm.{}.*", users[0]);
    let heads = direct::last_by_subject(&client, &stream, &[wildcard], BOUNDS)
        .await
        .expect("read");
    let mut heads: Vec<_> = heads
        .messages
        .iter()
        .map(|m| (chat::parse(shards, &m.subject), m.seq))
        .collect();
    heads.sort_unstable();
    assert_eq!(heads, [(Some(ab), 19), (Some(ac), 20)]);

    let one = direct::get(&client, &stream, 20, BOUNDS.timeout)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((one.seq, &one.payload[..]), (20, &b"small"[..]));
    assert!(
        direct::get(&client, &stream, 21, BOUNDS.timeout)
            .await
            .expect("read")
            .is_none()
    );
    let none = direct::next_by_subject(&client, &stream, "chat.0.user.nobody", 1, BOUNDS)
        .await
        .expect("read");
    assert!(none.messages.is_empty() && !none.more);
    fixture.server.stop().await;
}

#[tokio::test]
async fn a_batch_of_which_a_part_was_lost_is_an_error() {
    let fixture = Fixture::new().await;
    let client = fixture.context.client();
    // Answers as a stream does, without the second of three messages.
    let mut asked = client
        .subscribe("$JS.API.DIRECT.GET.LOSSY")
        .await
        .expect("subscribed");
    let answers = client.clone();
    tokio::spawn(async move {
        let inbox = asked
            .next()
            .await
            .and_then(|request| request.reply)
            .expect("a request");
        for (seq, before) in [("1", "0"), ("3", "2")] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Subject", "chat.0.x");
            headers.insert("Nats-Sequence", seq);
            headers.insert("Nats-Last-Sequence", before);
            let sent = answers.publish_with_headers(inbox.clone(), headers, "x".into());
            sent.await.expect("sent");
        }
    });
    let read = direct::next_by_subject(&client, "LOSSY", "chat.0.x", 1, BOUNDS).await;
    assert!(matches!(read, Err(DirectError::Connection(_))), "{read:?}");
    fixture.server.stop().await;
}

#[tokio::test]
async fn a_full_stream_refuses_and_drops_nothing() {
    let fixture = Fixture::new().await;
    let small = Settings {
        chat_bytes_max: 64 << 10,
        ..settings(1)
    };
    provision(&fixture.context, &small, false)
        .await
        .expect("provisioned");
    let log = Conversation::User(UserId::from_parts(1, 1));
    let subject = chat::subject(small.shards, &log);
    let mut stored = 0;
    let refused = loop {
        let message = PublishMessage::build().payload(vec![b'x'; 8 << 10].into());
        match fixture
            .context
            .send_publish(subject.clone(), message)
            .await
            .expect("sent")
            .await
        {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the bound holds");
    };
    assert!(refused.to_string().contains("maximum bytes"), "{refused}");
    let mut stream = fixture
        .context
        .get_stream(chat_stream(small.shards.of(&log)))
        .await
        .expect("the stream");
    assert_eq!(stream.info().await.expect("info").state.messages, stored);
}

#[tokio::test]
async fn one_of_several_servers_is_enough() {
    let fixture = Fixture::new().await;
    // Nobody listens at the first.
    let several = format!("nats://127.0.0.1:1, {}", fixture.server.url());
    let client = cluster::connect(&several, "contract test", |_| {}).await;
    client.expect("a connection").flush().await.expect("it answers");
    let client = cluster::connect_once(&several, "contract test", |_| {}).await;
    client.expect("a connection").flush().await.expect("it answers");
}

/// The server and we must agree on the bucket of every user, and a change is heard once it is stored.
#[tokio::test]
async fn presence_is_republished_where_edges_listen_for_that_user() {
    let fixture = Fixture::new().await;
    provision(&fixture.context, &settings(1), false)
        .await
        .expect("provisioned");
    let client = fixture.context.client();
    let mut heard = client.subscribe("live.presence.>").await.expect("subscribed");
    let store = fixture
        .context
        .get_key_value(Bucket::Presence.name())
        .await
        .expect("the bucket");
    for _ in 0..50 {
        let user = UserId::generate(1_732_233_600_000);
        let revision = store.put(user.to_string(), "{}".into()).await.expect("stored");
        let message = heard.next().await.expect("republished");
        assert_eq!(message.subject.as_str(), presence::subject(user));
        assert_eq!(presence::parse(&message.subject), Some(user));
        let headers = message.headers.expect("the place");
        assert_eq!(
            headers.get("Nats-Sequence").map(|seq| seq.as_str().parse()),
            Some(Ok(revision))
        );
    }
}

/// What an edge does every few seconds, and what is heard of it when it stops.
#[tokio::test]
async fn a_lease_that_is_not_rewritten_ends_with_a_marker() {
    let fixture = Fixture::new().await;
    provision(&fixture.context, &settings(1), false)
        .await
        .expect("provisioned");
    let store = fixture
        .context
        .get_key_value(Bucket::Edges.name())
        .await
        .expect("the bucket");
    let mut watch = store.watch_all().await.expect("watched");
    let key = EdgeId::from_parts(1, 1).to_string();
    let write = async |expected: u64| {
        let message = PublishMessage::build()
            .ttl(Duration::from_secs(1))
            .expected_last_subject_sequence(expected)
            .payload("{}".into());
        let sent = fixture
            .context
            .send_publish(kv::subject(Bucket::Edges, &key), message)
            .await
            .expect("sent");
        sent.await.map(|ack| ack.sequence)
    };
    let first = write(0).await.expect("there was none");
    assert!(write(0).await.is_err(), "somebody else holds it");
    let second = write(first).await.expect("rewritten");
    for revision in [first, second] {
        let entry = watch.next().await.expect("an entry").expect("readable");
        assert_eq!((entry.operation, entry.revision), (Operation::Put, revision));
    }
    let entry = watch.next().await.expect("a marker").expect("readable");
    assert_eq!(entry.operation, Operation::Purge);
    assert!(write(second).await.is_err(), "whoever lost it is told so");
    assert!(write(entry.revision).await.is_ok(), "and takes it anew");
}
