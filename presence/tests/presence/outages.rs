//! Everything that may be away: all presence processes, nats-server, the consumers.

use std::time::{Duration, Instant};

use natterjack_nats::{
    limits::LEASE_TTL_MS,
    subjects::kv as keys,
    topology::{Bucket, PRESENCE},
    wire::PresenceState::{Offline, Online},
};

use crate::{
    Edge, World, device, user,
    world::{kill, until},
};

#[tokio::test]
async fn what_happened_while_nobody_ran_is_right_after_the_start() -> anyhow::Result<()> {
    let (world, first) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    let (leaves, comes) = (user(1), user(2));
    edge.connect(leaves, device(1), true).await?;
    world.becomes(leaves, Online).await?;
    kill(&first).await;
    edge.connect(comes, device(1), true).await?;
    edge.disconnect(leaves, device(1)).await?;
    // Somebody who came and left, and somebody who left and came.
    edge.connect(user(3), device(1), true).await?;
    edge.disconnect(user(3), device(1)).await?;
    let left = Instant::now();
    let second = world.presence().await?;
    world.becomes(comes, Online).await?;
    let offline = world.becomes(leaves, Offline).await?;
    assert!(left.elapsed() < Duration::from_secs(10), "{:?}", left.elapsed());
    assert!(offline.last_seen.is_some());
    world.settled().await?;
    assert!(world.heard(user(3)).is_empty());
    second.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn an_edge_that_died_while_nobody_ran_is_swept() -> anyhow::Result<()> {
    let (world, first) = World::start().await?;
    let mut edge = Edge::start(&world, 1).await?;
    edge.connect(user(1), device(1), true).await?;
    world.becomes(user(1), Online).await?;
    kill(&first).await;
    edge.die();
    until("its lease has expired", async || {
        let bucket = world.jetstream.get_key_value(Bucket::Edges.name()).await?;
        Ok(bucket.get(edge.id.to_string()).await?.is_none().then_some(()))
    })
    .await?;
    let second = world.presence().await?;
    world.becomes(user(1), Offline).await?;
    until("its session is removed", async || {
        Ok(world.sessions().await?.is_empty().then_some(()))
    })
    .await?;
    second.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn an_outage_longer_than_the_leases_makes_nobody_offline() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let mut edge = Edge::start(&world, 1).await?;
    let mut dies = Edge::start(&world, 2).await?;
    for number in 1..=20 {
        edge.connect(user(number), device(1), true).await?;
    }
    dies.connect(user(30), device(1), true).await?;
    for number in (1..=20).chain([30]) {
        world.becomes(user(number), Online).await?;
    }
    world.settled().await?;
    world.nats.kill().await;
    dies.die();
    edge.die();
    tokio::time::sleep(Duration::from_millis(LEASE_TTL_MS + 2_000)).await;
    world.nats.restart().await?;
    let back = Instant::now();
    // The edge notices its loss, takes the lease anew and writes its sessions again, all but one that
    // left meanwhile and one that came.
    until("the lease is taken anew", async || {
        Ok(world.record(user(1)).await.ok())
    })
    .await?;
    edge.lease_anew().await?;
    edge.disconnect(user(20), device(1)).await?;
    edge.connect(user(21), device(1), true).await?;
    world.becomes(user(21), Online).await?;
    world.becomes(user(20), Offline).await?;
    assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
    for number in 1..20 {
        edge.connect(user(number), device(1), true).await?;
    }
    world.becomes(user(30), Offline).await?;
    world.settled().await?;
    for number in 1..20 {
        assert_eq!(world.heard(user(number)), [Online], "user {number}");
    }
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn consumers_that_are_made_anew_rebuild_everything() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    let (stays, vanishes, comes) = (user(1), user(2), user(3));
    edge.connect(stays, device(1), true).await?;
    edge.connect(vanishes, device(1), true).await?;
    world.becomes(stays, Online).await?;
    world.becomes(vanishes, Online).await?;
    world.settled().await?;
    for bucket in [Bucket::Sessions, Bucket::Edges] {
        let stream = world.jetstream.get_stream(bucket.stream_name()).await?;
        stream.delete_consumer(PRESENCE).await?;
    }
    // Without a mark, as if it was older than marks are kept.
    let sessions = world.jetstream.get_stream(Bucket::Sessions.stream_name()).await?;
    let filter = keys::subject(Bucket::Sessions, &keys::session(edge.id, vanishes, device(1)));
    sessions.purge().filter(filter).await?;
    edge.connect(comes, device(1), true).await?;
    world.provision().await?;
    world.becomes(comes, Online).await?;
    world.becomes(vanishes, Offline).await?;
    world.settled().await?;
    assert_eq!(world.heard(stays), [Online]);
    tasks.stop(Duration::from_secs(5)).await
}
