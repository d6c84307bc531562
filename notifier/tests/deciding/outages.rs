//! Whoever is away for a while: nothing is lost, and nothing is pushed that was not needed.

use std::time::Duration;

use natterjack_nats::{
    topology::{NOTIFIER, RECEIPTS, chat_stream},
    wire::{Channel, PushReason},
};

use crate::{
    World, device, dm, user,
    world::{GRACE, kill, until},
};

const ME: u128 = 1;
const DRAIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_came_while_nobody_decided_is_decided_by_what_became_of_it() -> anyhow::Result<()> {
    let (world, first, _persister) = World::start().await?;
    for other in 2..=5 {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    let before = world.send(dm(ME, 2), user(ME), "before").await?;
    world.told(user(2), device(2), dm(ME, 2), before).await?;
    world.settled().await?;
    kill(&first).await;
    let confirmed = world.send(dm(ME, 3), user(ME), "confirmed").await?;
    world.confirm(user(3), dm(ME, 3), confirmed).await?;
    let missed = world.send(dm(ME, 4), user(ME), "missed").await?;
    let read = world.send(dm(ME, 5), user(ME), "read").await?;
    world.receipt(user(5), dm(ME, 5), read, read, read).await?;
    world.receipt(user(2), dm(ME, 2), before, before, before).await?;
    tokio::time::sleep(2 * GRACE).await;
    let second = world.notifier().await?;
    world.told(user(4), device(4), dm(ME, 4), missed).await?;
    assert_eq!(world.withdrawn(user(2), device(2), dm(ME, 2)).await?, before);
    world.settled().await?;
    assert_eq!(
        world.verdict(dm(ME, 3), confirmed, user(3)).await?,
        PushReason::Confirmed
    );
    assert_eq!(world.verdict(dm(ME, 5), read, user(5)).await?, PushReason::Read);
    // One push, its withdrawal, and one push.
    assert_eq!(world.writes().await?, 3);
    second.stop(DRAIN).await
}

#[tokio::test]
async fn without_the_persister_only_what_was_confirmed_is_decided() -> anyhow::Result<()> {
    let (world, tasks, persister) = World::start().await?;
    for other in [2, 3] {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    persister.stop().await?;
    let missed = world.send(dm(ME, 2), user(ME), "missed").await?;
    let confirmed = world.send(dm(ME, 3), user(ME), "confirmed").await?;
    world.confirm(user(3), dm(ME, 3), confirmed).await?;
    assert_eq!(
        world.verdict(dm(ME, 3), confirmed, user(3)).await?,
        PushReason::Confirmed
    );
    assert!(world.verdicts(dm(ME, 2), missed, user(2)).await?.is_empty());
    assert_eq!(world.writes().await?, 0);
    let persister = world.persister().await?;
    world.told(user(2), device(2), dm(ME, 2), missed).await?;
    // The same for what is withdrawn: it waits for the badge.
    persister.stop().await?;
    world.receipt(user(2), dm(ME, 2), missed, missed, missed).await?;
    let _persister = world.persister().await?;
    assert_eq!(world.withdrawn(user(2), device(2), dm(ME, 2)).await?, missed);
    world.settled().await?;
    tasks.stop(DRAIN).await
}

#[tokio::test]
async fn nats_goes_and_comes_back() -> anyhow::Result<()> {
    let (world, tasks, _persister) = World::start().await?;
    for other in 2..=4 {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    let one = world.send(dm(ME, 2), user(ME), "before").await?;
    let two = world.send(dm(ME, 3), user(ME), "confirmed before").await?;
    world.confirm(user(3), dm(ME, 3), two).await?;
    world.nats.kill().await;
    world.nats.restart().await?;
    let three = until("a message is stored", async || {
        Ok(Some(world.send(dm(ME, 4), user(ME), "after").await?))
    })
    .await?;
    world.told(user(2), device(2), dm(ME, 2), one).await?;
    world.told(user(4), device(4), dm(ME, 4), three).await?;
    world.settled().await?;
    assert_eq!(
        world.verdict(dm(ME, 3), two, user(3)).await?,
        PushReason::Confirmed
    );
    assert_eq!(world.writes().await?, 2);
    tasks.stop(DRAIN).await
}

#[tokio::test]
async fn consumers_that_are_made_anew_double_nothing() -> anyhow::Result<()> {
    let (world, tasks, _persister) = World::start().await?;
    for other in 2..=5 {
        world
            .register(user(other), device(other), Channel::WebPush)
            .await?;
    }
    let told = world.send(dm(ME, 2), user(ME), "told").await?;
    let confirmed = world.send(dm(ME, 3), user(ME), "confirmed").await?;
    world.confirm(user(3), dm(ME, 3), confirmed).await?;
    let read = world.send(dm(ME, 4), user(ME), "told and read").await?;
    world.told(user(4), device(4), dm(ME, 4), read).await?;
    world.receipt(user(4), dm(ME, 4), read, read, 0).await?;
    world.withdrawn(user(4), device(4), dm(ME, 4)).await?;
    world.told(user(2), device(2), dm(ME, 2), told).await?;
    world.settled().await?;
    let writes = world.writes().await?;
    let streams = world.shards.all().map(chat_stream).chain([RECEIPTS.into()]);
    for name in streams {
        let stream = world.jetstream.get_stream(name).await?;
        stream.delete_consumer(NOTIFIER).await?;
    }
    world.provision().await?;
    let again = until("everything is decided again", async || {
        let verdicts = world.verdicts(dm(ME, 2), told, user(2)).await?;
        Ok((verdicts.len() > 1).then_some(verdicts))
    })
    .await?;
    assert_eq!(again.last().unwrap().0, PushReason::Queued);
    world.settled().await?;
    let confirmed = world.verdicts(dm(ME, 3), confirmed, user(3)).await?;
    assert!(
        confirmed
            .iter()
            .all(|(reason, _)| *reason == PushReason::Confirmed),
        "{confirmed:?}"
    );
    assert_eq!(world.writes().await?, writes);
    let next = world.send(dm(ME, 5), user(ME), "and on").await?;
    world.told(user(5), device(5), dm(ME, 5), next).await?;
    tasks.stop(DRAIN).await
}

#[tokio::test]
async fn what_is_older_than_pushes_are_tried_is_left_alone() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    let _persister = world.persister().await?;
    world.register(user(2), device(2), Channel::WebPush).await?;
    // A time to live of none: everything is too old as soon as it is due.
    world.args.ttl_hours = 0;
    let tasks = world.notifier().await?;
    let seq = world.send(dm(ME, 2), user(ME), "old").await?;
    assert_eq!(world.verdict(dm(ME, 2), seq, user(2)).await?, PushReason::TooOld);
    world.settled().await?;
    assert_eq!(world.writes().await?, 0);
    tasks.stop(DRAIN).await
}
