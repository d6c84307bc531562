//! What becomes of users whose devices come and go.

use std::time::{Duration, Instant};

use natterjack_nats::wire::PresenceState::{Away, Offline, Online};

use crate::{Edge, World, device, user, world::GRACE};

#[tokio::test]
async fn a_device_comes_changes_and_goes() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    let anna = user(1);
    edge.connect(anna, device(1), true).await?;
    let online = world.becomes(anna, Online).await?;
    assert_eq!(online.last_seen, None);
    let left = Instant::now();
    edge.connect(anna, device(1), false).await?;
    let away = world.becomes(anna, Away).await?;
    assert!(left.elapsed() >= GRACE, "before the grace was over");
    let seen = away.last_seen.unwrap();
    assert!(seen >= online.since && away.since == seen);
    edge.connect(anna, device(1), true).await?;
    assert_eq!(world.becomes(anna, Online).await?.last_seen, None);
    edge.connect(anna, device(1), false).await?;
    let away = world.becomes(anna, Away).await?;
    let left = Instant::now();
    edge.disconnect(anna, device(1)).await?;
    let offline = world.becomes(anna, Offline).await?;
    assert!(left.elapsed() >= GRACE, "before the grace was over");
    assert_eq!(
        offline.last_seen, away.last_seen,
        "the app was not in the foreground since"
    );
    edge.connect(anna, device(1), true).await?;
    world.becomes(anna, Online).await?;
    edge.disconnect(anna, device(1)).await?;
    let offline = world.becomes(anna, Offline).await?;
    assert!(offline.last_seen > away.last_seen);
    assert_eq!(
        world.heard(anna),
        [Online, Away, Online, Away, Offline, Online, Offline]
    );
    world.settled().await?;
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn the_best_of_several_devices_and_edges_counts() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let (one, other) = (Edge::start(&world, 1).await?, Edge::start(&world, 2).await?);
    let anna = user(1);
    one.connect(anna, device(1), false).await?;
    world.becomes(anna, Away).await?;
    other.connect(anna, device(2), true).await?;
    world.becomes(anna, Online).await?;
    // The same device through both, as while it moves.
    other.connect(anna, device(1), true).await?;
    other.disconnect(anna, device(2)).await?;
    world.settled().await?;
    assert_eq!(world.record(anna).await?.state, Online);
    other.disconnect(anna, device(1)).await?;
    world.becomes(anna, Away).await?;
    one.disconnect(anna, device(1)).await?;
    world.becomes(anna, Offline).await?;
    assert_eq!(world.heard(anna), [Away, Online, Away, Offline]);
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn who_is_back_within_the_grace_never_went() -> anyhow::Result<()> {
    let (mut world, first) = World::start().await?;
    first.stop(Duration::from_secs(5)).await?;
    // Long enough that what happens within it does so on a slow machine too.
    world.args.grace_ms = 5_000;
    let tasks = world.presence().await?;
    let (one, other) = (Edge::start(&world, 1).await?, Edge::start(&world, 2).await?);
    let anna = user(1);
    one.connect(anna, device(1), true).await?;
    world.becomes(anna, Online).await?;
    for _ in 0..5 {
        one.disconnect(anna, device(1)).await?;
        one.connect(anna, device(1), false).await?;
        one.connect(anna, device(1), true).await?;
    }
    // To another edge, and the second device a moment after the first.
    one.disconnect(anna, device(1)).await?;
    other.connect(anna, device(2), true).await?;
    one.connect(anna, device(1), false).await?;
    other.disconnect(anna, device(2)).await?;
    other.connect(anna, device(1), true).await?;
    one.disconnect(anna, device(1)).await?;
    world.settled().await?;
    assert_eq!(world.heard(anna), [Online]);
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn a_device_is_noted_when_its_session_ends() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    let (anna, phone) = (user(1), device(1));
    world
        .put_device(anna, phone, r#"{"name":"phone","more":{"a":[1]}}"#)
        .await?;
    edge.connect(anna, phone, true).await?;
    edge.connect(anna, device(2), true).await?;
    world.becomes(anna, Online).await?;
    edge.disconnect(anna, phone).await?;
    // Of which there is no entry, and none is made.
    edge.disconnect(anna, device(2)).await?;
    world.becomes(anna, Offline).await?;
    world.settled().await?;
    let noted = world.device(anna, phone).await?;
    assert_eq!(
        (&noted["name"], &noted["more"]["a"][0]),
        (&"phone".into(), &1.into())
    );
    let seen = noted["last_seen"].as_u64().unwrap();
    assert!(world.record(anna).await?.last_seen >= Some(seen), "{seen}");
    assert!(world.device(anna, device(2)).await.is_err());
    tasks.stop(Duration::from_secs(5)).await
}
