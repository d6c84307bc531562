//! The contract against a real nats-server: provisioning, direct gets, republished headers.

mod direct;
mod provisioning;
mod replaced;

use std::time::Duration;

use async_nats::jetstream::{self, Context, kv::Operation, message::PublishMessage};
use futures::StreamExt as _;
use natterjack_nats::{
    Conversation, EdgeId, Shards, UserId, cluster, headers,
    provision::provision,
    subjects::{chat, kv, live, presence},
    topology::{Bucket, Settings, chat_stream},
};
use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};

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
