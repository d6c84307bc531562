//! What is known of receipts, and that nothing is missing of it.

use std::time::{Duration, Instant};

use natterjack_nats::{cluster, topology::RECEIPTS};
use natterjack_notifier::Outcomes;
use natterjack_runtime::{metrics::Metrics, server_time::ServerTime};

use crate::{World, dm, user, world::until};

const WINDOW: Duration = Duration::from_secs(60);

async fn outcomes(world: &World) -> anyhow::Result<Outcomes> {
    let client = cluster::connect(&world.nats.url(), "test-receipts", |_| {}).await?;
    Ok(Outcomes::open(client, WINDOW, ServerTime::new(), &Metrics::new("test")).await?)
}

#[tokio::test]
async fn all_that_was_stored_before_is_known() -> anyhow::Result<()> {
    let world = World::new().await?;
    let outcomes = outcomes(&world).await?;
    outcomes.know_all_before(Instant::now()).await?;
    for round in 1..=200 {
        world
            .receipt(user(2), dm(1, 2), round, round / 2, round - 1)
            .await?;
        outcomes.know_all_before(Instant::now()).await?;
        let reached = outcomes.reached(user(2), dm(1, 2));
        assert_eq!(
            (reached.delivered, reached.read, reached.foreground),
            (round, round / 2, round - 1)
        );
    }
    assert_eq!(outcomes.reached(user(1), dm(1, 2)).delivered, 0);
    // One that comes later knows it as well.
    let late = self::outcomes(&world).await?;
    late.know_all_before(Instant::now()).await?;
    assert_eq!(late.reached(user(2), dm(1, 2)).delivered, 200);
    Ok(())
}

#[tokio::test]
async fn nothing_is_missing_after_nats_was_away() -> anyhow::Result<()> {
    let world = World::new().await?;
    let outcomes = outcomes(&world).await?;
    world.receipt(user(2), dm(1, 2), 1, 0, 1).await?;
    outcomes.know_all_before(Instant::now()).await?;
    world.nats.kill().await;
    assert!(outcomes.know_all_before(Instant::now()).await.is_err());
    world.nats.restart().await?;
    until("a receipt is stored", async || {
        world.receipt(user(2), dm(1, 2), 2, 0, 2).await?;
        Ok(Some(()))
    })
    .await?;
    until("receipts are read", async || {
        outcomes.know_all_before(Instant::now()).await?;
        Ok(Some(()))
    })
    .await?;
    assert_eq!(outcomes.reached(user(2), dm(1, 2)).foreground, 2);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_lost_its_end_or_was_made_anew_holds_up_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let outcomes = outcomes(&world).await?;
    for seq in 1..=5 {
        world.receipt(user(2), dm(1, 2), seq, 0, seq).await?;
    }
    outcomes.know_all_before(Instant::now()).await?;
    world.receipt(user(2), dm(1, 2), 6, 0, 6).await?;
    let stream = world.jetstream.get_stream(RECEIPTS).await?;
    stream.delete_message(6).await?;
    outcomes.know_all_before(Instant::now()).await?;
    assert_eq!(outcomes.reached(user(2), dm(1, 2)).foreground, 5);
    stream.purge().await?;
    outcomes.know_all_before(Instant::now()).await?;
    world.jetstream.delete_stream(RECEIPTS).await?;
    assert!(outcomes.know_all_before(Instant::now()).await.is_err());
    world.provision().await?;
    world.receipt(user(3), dm(1, 3), 9, 0, 9).await?;
    outcomes.know_all_before(Instant::now()).await?;
    assert_eq!(outcomes.reached(user(3), dm(1, 3)).foreground, 9);
    Ok(())
}

#[tokio::test]
async fn what_is_needed_again_is_read_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    let client = cluster::connect(&world.nats.url(), "test-receipts", |_| {}).await?;
    let window = Duration::from_millis(10);
    let outcomes = Outcomes::open(client, window, ServerTime::new(), &Metrics::new("test")).await?;
    outcomes.keep_from(u64::MAX);
    outcomes.know_all_before(Instant::now()).await?;
    world.receipt(user(2), dm(1, 2), 7, 0, 7).await?;
    outcomes.know_all_before(Instant::now()).await?;
    until("it is let go", async || {
        world.receipt(user(3), dm(1, 3), 1, 0, 1).await?;
        outcomes.know_all_before(Instant::now()).await?;
        Ok((outcomes.reached(user(2), dm(1, 2)).foreground == 0).then_some(()))
    })
    .await?;
    outcomes.keep_from(0);
    outcomes.know_all_before(Instant::now()).await?;
    assert_eq!(outcomes.reached(user(2), dm(1, 2)).foreground, 7);
    Ok(())
}
