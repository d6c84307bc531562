//! Several notifiers at once, some of which are killed: each device is told of each message once.

use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    topology::{NOTIFIER, chat_stream},
    wire::{Channel, PushReason},
};

use crate::{
    World, device, dm, user,
    world::{kill, until},
};

const ME: u128 = 1;
const CROWD: u128 = 200;
const AT_ONCE: usize = 32;

impl World {
    /// What a killed notifier held comes again sooner than provisioned, so that a test need not wait for it.
    async fn redeliver_soon(&self) -> anyhow::Result<()> {
        for shard in self.shards.all() {
            let name = chat_stream(shard);
            let consumer: PullConsumer = self.jetstream.get_consumer_from_stream(NOTIFIER, &name).await?;
            let config = pull::Config {
                ack_wait: Duration::from_secs(5),
                durable_name: Some(NOTIFIER.into()),
                filter_subjects: consumer.cached_info().config.filter_subjects.clone(),
                max_ack_pending: consumer.cached_info().config.max_ack_pending,
                max_deliver: -1,
                description: consumer.cached_info().config.description.clone(),
                num_replicas: consumer.cached_info().config.num_replicas,
                ..pull::Config::default()
            };
            let stream = self.jetstream.get_stream(&name).await?;
            stream.update_consumer(config).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_notifier_that_is_killed_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let (world, first, _persister) = World::start().await?;
    world.redeliver_soon().await?;
    let second = world.notifier().await?;
    let world = &world;
    // The even ones are away, the odd ones confirm in the foreground.
    let everybody = || stream::iter(2..2 + CROWD);
    let registered = everybody().map(|other| world.register(user(other), device(other), Channel::WebPush));
    registered.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let sent = everybody().map(async |other| {
        let conversation = dm(ME, other);
        let seq = world.send(conversation, user(ME), "hello").await?;
        if other % 2 == 1 {
            world.confirm(user(other), conversation, seq).await?;
        }
        Ok::<_, anyhow::Error>((other, seq))
    });
    let sent: Vec<(u128, u64)> = sent.buffer_unordered(AT_ONCE).try_collect().await?;
    // In the middle of it, that is: once something was handed over.
    until("the first is handed over", async || {
        Ok((world.writes().await? > 0).then_some(()))
    })
    .await?;
    kill(&first).await;
    for (other, seq) in &sent {
        if other % 2 == 0 {
            world
                .told(user(*other), device(*other), dm(ME, *other), *seq)
                .await?;
        }
    }
    world.settled().await?;
    for (other, seq) in &sent {
        let verdicts = world.verdicts(dm(ME, *other), *seq, user(*other)).await?;
        assert!(!verdicts.is_empty(), "{other} was not decided");
        let confirmed = verdicts
            .iter()
            .all(|(reason, _)| *reason == PushReason::Confirmed);
        assert_eq!(confirmed, other % 2 == 1, "{verdicts:?}");
        let handed_over: usize = verdicts.iter().map(|(_, devices)| devices.len()).sum();
        assert!(handed_over <= 1, "{verdicts:?}");
    }
    assert_eq!(u128::from(world.writes().await?), CROWD / 2);
    second.stop(Duration::from_secs(10)).await
}

#[tokio::test]
async fn a_notifier_that_ends_hands_back_what_waits() -> anyhow::Result<()> {
    let (world, first, _persister) = World::start().await?;
    world.register(user(2), device(2), Channel::WebPush).await?;
    let seq = world.send(dm(ME, 2), user(ME), "hello").await?;
    until("it waits for the grace", async || {
        let stream = chat_stream(world.shards.of(&dm(ME, 2)));
        let consumer: PullConsumer = world
            .jetstream
            .get_consumer_from_stream(NOTIFIER, &stream)
            .await?;
        Ok((consumer.cached_info().num_ack_pending > 0).then_some(()))
    })
    .await?;
    first.stop(Duration::from_secs(10)).await?;
    let second = world.notifier().await?;
    // Long before it would come again by itself, after 30 s.
    let told = world.told(user(2), device(2), dm(ME, 2), seq);
    tokio::time::timeout(Duration::from_secs(20), told).await??;
    second.stop(Duration::from_secs(10)).await
}
