//! Direct gets: bounded, whole, and of any number of subjects.

use std::time::Duration;

use async_nats::jetstream::stream;
use futures::StreamExt as _;
use natterjack_nats::{
    Conversation, UserId,
    direct::{self, Bounds, DirectError},
    provision::provision,
    subjects::chat,
    topology::chat_stream,
};

use crate::{Fixture, settings};

const BOUNDS: Bounds = Bounds {
    messages: 100,
    bytes: 1 << 20,
    timeout: Duration::from_secs(5),
};

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
async fn more_subjects_than_the_server_answers_for_are_read_all_the_same() {
    let fixture = Fixture::new().await;
    let client = fixture.context.client();
    let config = stream::Config {
        name: "MANY".into(),
        subjects: vec!["many.*.*".into()],
        max_messages_per_subject: 1,
        allow_direct: true,
        ..stream::Config::default()
    };
    fixture.context.create_stream(config).await.expect("created");
    let mut subjects: Vec<String> = (0..1_100).map(|n| format!("many.a.{n}")).collect();
    subjects.push("many.b.0".into());
    for subject in &subjects {
        let stored = fixture
            .context
            .publish(subject.clone(), "x".into())
            .await
            .expect("sent");
        stored.await.expect("stored");
    }
    let filters = [
        "many.a.*".to_owned(),
        "many.b.*".to_owned(),
        "many.c.*".to_owned(),
    ];
    let refused = direct::last_by_subject(&client, "MANY", &filters, BOUNDS).await;
    assert!(matches!(refused, Err(DirectError::TooMany)), "{refused:?}");
    let found = direct::lasts(&client, "MANY", &filters).await.expect("read");
    let mut found: Vec<String> = found.into_iter().map(|message| message.subject).collect();
    found.sort_unstable();
    subjects.sort_unstable();
    assert_eq!(found, subjects);
    fixture.server.stop().await;
}
