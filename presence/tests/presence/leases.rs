//! What becomes of the users of an edge that is gone, or takes its lease anew.

use std::time::{Duration, Instant};

use natterjack_nats::wire::PresenceState::{Away, Offline, Online};

use crate::{Edge, World, device, user, world::until};

/// Before that nobody is made offline for want of a lease: presence has just started.
async fn presence_has_settled() {
    tokio::time::sleep(Duration::from_millis(natterjack_nats::limits::LEASE_TTL_MS)).await;
}

#[tokio::test]
async fn users_of_an_edge_that_dies_are_offline_within_ten_seconds() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let (mut dies, lives) = (Edge::start(&world, 1).await?, Edge::start(&world, 2).await?);
    presence_has_settled().await;
    world.put_device(user(1), device(1), "{}").await?;
    for number in 1..=100 {
        dies.connect(user(number), device(1), true).await?;
    }
    lives.connect(user(50), device(2), true).await?;
    lives.connect(user(60), device(2), false).await?;
    for number in 1..=100 {
        world.becomes(user(number), Online).await?;
    }
    // One who left just before in good order.
    dies.disconnect(user(70), device(1)).await?;
    let written = dies.die();
    for number in (1..=100).filter(|number| ![50, 60].contains(number)) {
        let offline = world.becomes(user(number), Offline).await?;
        let took = written.elapsed();
        assert!(took < Duration::from_secs(10), "user {number} after {took:?}");
        assert!(offline.last_seen.is_some());
    }
    world.becomes(user(60), Away).await?;
    // Everything that it left is removed, and so is nothing of others.
    until("its sessions are removed", async || {
        Ok((world.sessions().await?.len() == 2).then_some(()))
    })
    .await?;
    world.settled().await?;
    assert_eq!(
        world.heard(user(50)),
        [Online],
        "who also sits on another edge is untouched"
    );
    assert_eq!(world.heard(user(60)), [Online, Away]);
    let noted = world.device(user(1), device(1)).await?;
    assert!(noted["last_seen"].is_u64(), "{noted}");
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn sessions_that_are_written_again_are_not_swept() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let mut edge = Edge::start(&world, 1).await?;
    for number in 1..=50 {
        edge.connect(user(number), device(1), true).await?;
    }
    for number in 1..=50 {
        world.becomes(user(number), Online).await?;
    }
    presence_has_settled().await;
    edge.lease_anew().await?;
    // Nobody is made offline while it writes them again, in its own time.
    for number in 1..=50 {
        edge.connect(user(number), device(1), true).await?;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    world.settled().await?;
    for number in 1..=50 {
        assert_eq!(world.heard(user(number)), [Online]);
    }
    assert_eq!(world.sessions().await?.len(), 50);
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn what_a_predecessor_left_is_swept() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let mut before = Edge::start(&world, 1).await?;
    before.connect(user(1), device(1), true).await?;
    before.connect(user(2), device(1), true).await?;
    world.becomes(user(1), Online).await?;
    world.becomes(user(2), Online).await?;
    before.die();
    // The marker of its end is overwritten before anybody sees it.
    let mut after = before.restarted();
    after.lease().await?;
    after.connect(user(2), device(1), true).await?;
    world.becomes(user(1), Offline).await?;
    until("its session is removed", async || {
        Ok((world.sessions().await?.len() == 1).then_some(()))
    })
    .await?;
    assert_eq!(world.heard(user(2)), [Online]);
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn a_session_without_a_lease_waits_and_then_goes() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let mut late = Edge::without_lease(&world, 1);
    let ghost = Edge::without_lease(&world, 2);
    late.connect(user(1), device(1), true).await?;
    ghost.connect(user(2), device(1), true).await?;
    let written = Instant::now();
    late.lease().await?;
    world.becomes(user(1), Online).await?;
    until("the orphan is removed", async || {
        Ok((world.sessions().await?.len() == 1).then_some(()))
    })
    .await?;
    assert!(
        written.elapsed() > Duration::from_secs(8),
        "it may have been early"
    );
    assert!(world.heard(user(2)).is_empty());
    world.settled().await?;
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn an_edge_that_gives_its_lease_up_is_swept_at_once() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let mut edge = Edge::start(&world, 1).await?;
    edge.connect(user(1), device(1), true).await?;
    world.becomes(user(1), Online).await?;
    presence_has_settled().await;
    edge.leave().await?;
    world.becomes(user(1), Offline).await?;
    // A ghost, as of an edge that was held still and writes what it had in hand.
    edge.connect(user(1), device(2), true).await?;
    until("its sessions are removed", async || {
        Ok(world.sessions().await?.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(world.heard(user(1)), [Online, Offline]);
    tasks.stop(Duration::from_secs(5)).await
}
