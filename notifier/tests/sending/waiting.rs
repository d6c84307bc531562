//! What changes while a push waits: for its device, or for its turn.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _};
use natterjack_nats::wire::{
    Channel::WebPush,
    PushOutcome::{Accepted, Dropped},
};
use tokio::sync::Semaphore;

use crate::{Answer, PushServer, World, dm, until, world::PATIENCE};

/// A device that is being pushed for its conversation with 100, until the gate opens.
async fn busy(world: &World, server: &PushServer) -> anyhow::Result<Arc<Semaphore>> {
    let gate = Arc::new(Semaphore::new(0));
    server.next("1", [Answer::Held(201, Arc::clone(&gate))]);
    world.register(1, &server.endpoint("1")).await?;
    world.tell(WebPush, 1, 100, 7).await?;
    until("the device is being pushed", async || {
        Ok((server.asked_for("1").len() == 1).then_some(()))
    })
    .await?;
    Ok(gate)
}

#[tokio::test]
async fn of_one_conversation_only_the_newest_that_waits_is_sent() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    let gate = busy(&world, &server).await?;
    world.tell(WebPush, 1, 200, 3).await?;
    for seq in 8..=12 {
        world.tell(WebPush, 1, 100, seq).await?;
    }
    // The one of the other conversation, and the last; the one under way has left the bucket.
    until("all others are settled", async || {
        let held = notifier.metric("push_held", &["webpush"]);
        let two = world.outstanding(WebPush).await? == (0, 2);
        Ok((two && held == Some(3.0)).then_some(()))
    })
    .await?;
    assert_eq!(server.asked().len(), 1, "one after the other to one device");
    gate.add_permits(1);
    world.becomes(dm(1, 100), 12, Accepted).await?;
    world.becomes(dm(1, 200), 3, Accepted).await?;
    world.settled(WebPush).await?;
    let asked = server.asked_for("1");
    assert_eq!(asked.len(), 3, "{asked:?}");
    // What the push service still keeps of a conversation, the next one replaces.
    assert_eq!(asked[0].topic, asked[2].topic);
    assert_ne!(asked[0].topic, asked[1].topic);
    for seq in 8..12 {
        let became = world.became(dm(1, 100), seq).await?;
        assert!(
            became.iter().all(|(outcome, _)| *outcome == Dropped),
            "{became:?}"
        );
    }
    notifier.stop().await
}

#[tokio::test]
async fn a_device_that_is_logged_out_or_moves_meanwhile_is_not_pushed_where_it_was() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    let gate = busy(&world, &server).await?;
    world.tell(WebPush, 1, 200, 3).await?;
    until("it waits", async || {
        Ok((world.outstanding(WebPush).await? == (0, 2)).then_some(()))
    })
    .await?;
    world.register(1, &server.endpoint("moved")).await?;
    gate.add_permits(1);
    world.becomes(dm(1, 200), 3, Accepted).await?;
    assert_eq!(server.asked_for("1").len(), 1);
    assert_eq!(server.asked_for("moved").len(), 1);
    let gate = Arc::new(Semaphore::new(0));
    server.next("moved", [Answer::Held(201, Arc::clone(&gate))]);
    world.tell(WebPush, 1, 100, 8).await?;
    until("it is being pushed", async || {
        Ok((server.asked_for("moved").len() == 2).then_some(()))
    })
    .await?;
    world.tell(WebPush, 1, 200, 4).await?;
    until("the next waits", async || {
        Ok((world.outstanding(WebPush).await? == (0, 2)).then_some(()))
    })
    .await?;
    world.unregister(1).await?;
    gate.add_permits(1);
    world.becomes(dm(1, 200), 4, Dropped).await?;
    assert_eq!(server.asked().len(), 3);
    notifier.stop().await
}

/// A push that takes longer than the consumer waits for an ack is given to nobody else meanwhile.
#[tokio::test]
async fn a_slow_push_service_makes_no_second_copy() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    world.hurry(WebPush, Duration::from_secs(8)).await?;
    let other = world.notifier().await?;
    let server = PushServer::start().await?;
    let mut told = world.client.subscribe("$JS.ACK.>").await?;
    let gate = busy(&world, &server).await?;
    // The third time the ack would have been overdue by now.
    for _ in 0..3 {
        let next = tokio::time::timeout(PATIENCE, told.next()).await?;
        let next = next.context("the connection ended")?;
        assert_eq!(next.payload.as_ref(), b"+WPI", "it is still worked on");
    }
    assert_eq!(world.redelivered(WebPush).await?, 0);
    gate.add_permits(1);
    world.becomes(dm(1, 100), 7, Accepted).await?;
    world.settled(WebPush).await?;
    assert_eq!(server.asked().len(), 1);
    notifier.stop().await?;
    other.stop().await
}

#[tokio::test]
async fn where_a_push_goes_is_read_once() -> anyhow::Result<()> {
    const PUSHES: u128 = 4;
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    world.register(1, &server.endpoint("1")).await?;
    // Both ways in which an entry of a bucket is read.
    let mut reads = [
        world
            .client
            .subscribe("$JS.API.STREAM.MSG.GET.KV_devices")
            .await?,
        world.client.subscribe("$JS.API.DIRECT.GET.KV_devices.>").await?,
        world.client.subscribe("$JS.API.DIRECT.GET.KV_devices").await?,
    ];
    world.client.flush().await?;
    // One that waits for long is read again, as may happen on a busy machine; not all do.
    for peer in 100..100 + PUSHES {
        world.tell(WebPush, 1, peer, 7).await?;
        world.becomes(dm(1, peer), 7, Accepted).await?;
        world.settled(WebPush).await?;
    }
    // What the server got before this answer has come before it.
    world.client.flush().await?;
    let mut count = 0;
    for read in &mut reads {
        while read.next().now_or_never().is_some() {
            count += 1;
        }
    }
    assert!((PUSHES..2 * PUSHES).contains(&count), "{count} reads");
    notifier.stop().await
}
