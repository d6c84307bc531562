//! What a message that ends an entry does to a consumer that has not acked others.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    consumer::pull,
    message::PublishMessage,
    stream::{self, Stream},
};
use futures::TryStreamExt as _;
use natterjack_nats::marker::ended;

use crate::Fixture;

const ACK_WAIT: Duration = Duration::from_secs(1);

/// Of six keys the fourth ends, and the fifth is acked: which come again to a consumer that held all?
async fn come_again(fixture: &Fixture, name: &str, end: PublishMessage) -> BTreeSet<String> {
    let subject = |key: u32| format!("{name}.{key}");
    let config = stream::Config {
        name: name.to_uppercase(),
        subjects: vec![format!("{name}.*")],
        max_messages_per_subject: 1,
        allow_rollup: true,
        allow_message_ttl: true,
        ..stream::Config::default()
    };
    let context = &fixture.context;
    let stream: Stream = context.create_stream(config).await.expect("created");
    let config = pull::Config {
        durable_name: Some("all".into()),
        ack_wait: ACK_WAIT,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("created");
    for key in 1..=6 {
        let stored = context.publish(subject(key), "x".into()).await.expect("sent");
        stored.await.expect("stored");
    }
    let taken = consumer.fetch().max_messages(6).messages().await.expect("asked");
    let taken: Vec<_> = taken.try_collect().await.expect("given");
    assert_eq!(taken.len(), 6);
    let ended = context.send_publish(subject(4), end).await.expect("sent");
    ended.await.expect("stored");
    taken[4].double_ack().await.expect("acked");
    let mut again = BTreeSet::new();
    loop {
        let batch = consumer.batch().max_messages(6).expires(3 * ACK_WAIT).messages();
        let batch: Vec<_> = batch.await.expect("asked").try_collect().await.expect("given");
        if batch.is_empty() {
            return again;
        }
        for message in batch {
            message.double_ack().await.expect("acked");
            again.insert(message.subject.to_string());
        }
    }
}

#[tokio::test]
async fn a_marker_takes_nothing_from_who_has_not_acked() {
    let fixture = Fixture::new().await;
    let kept = Duration::from_secs(60);
    let all = [1, 2, 3, 4, 6];
    let again = come_again(&fixture, "marked", ended(kept)).await;
    assert_eq!(again, all.map(|key| format!("marked.{key}")).into());
    // Why a marker is not what clients of NATS make it: once this fails, the server has mended it.
    let purge = ended(kept).header("Nats-Rollup", "sub");
    let again = come_again(&fixture, "purged", purge).await;
    assert!(again.len() < all.len(), "{again:?}");
    fixture.server.stop().await;
}
