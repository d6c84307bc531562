//! The micro service, and what survives.

use std::time::Duration;

use natterjack_nats::{
    services::presence::{Query, Sessions, SetPrivacy},
    wire::{
        PresenceState::{Away, Offline, Online},
        Privacy,
    },
};

use crate::{Edge, World, device, user};

#[tokio::test]
async fn many_are_asked_for_at_once() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    edge.connect(user(1), device(1), true).await?;
    edge.connect(user(2), device(1), false).await?;
    world.becomes(user(1), Online).await?;
    world.becomes(user(2), Away).await?;
    let users: Vec<_> = (0..1_000).map(user).collect();
    let known = world.call(&Query { users: users.clone() }).await?;
    assert!(
        known.iter().map(|known| known.user).eq(users),
        "in the order asked for"
    );
    let states: Vec<_> = known.iter().map(|known| known.record.state).collect();
    assert_eq!(states[..4], [Offline, Online, Away, Offline]);
    assert!(known[1].revision > 0 && known[2].revision > known[1].revision && known[3].revision == 0);
    let too_many = Query {
        users: (0..1_001).map(user).collect(),
    };
    assert!(
        world
            .call(&too_many)
            .await
            .unwrap_err()
            .to_string()
            .contains("1000")
    );
    assert_eq!(world.call(&Query { users: Vec::new() }).await?, []);
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn the_sessions_of_a_user_are_those_that_count() -> anyhow::Result<()> {
    let (world, tasks) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    let ghost = Edge::without_lease(&world, 2);
    let anna = user(1);
    edge.connect(anna, device(1), true).await?;
    edge.connect(anna, device(2), false).await?;
    edge.connect(anna, device(3), false).await?;
    edge.disconnect(anna, device(3)).await?;
    ghost.connect(anna, device(4), true).await?;
    let mut open = world.call(&Sessions { user: anna }).await?;
    open.sort_by_key(|session| session.device);
    let told: Vec<_> = open
        .iter()
        .map(|session| (session.device, session.edge, session.active))
        .collect();
    assert_eq!(told, [(device(1), edge.id, true), (device(2), edge.id, false)]);
    tasks.stop(Duration::from_secs(5)).await
}

#[tokio::test]
async fn privacy_and_last_seen_survive_what_comes_and_goes() -> anyhow::Result<()> {
    let (world, first) = World::start().await?;
    let edge = Edge::start(&world, 1).await?;
    let (anna, bert) = (user(1), user(2));
    let privacy = Privacy::Nobody;
    // Of somebody who was never there, and of somebody who is.
    world.call(&SetPrivacy { user: anna, privacy }).await?;
    edge.connect(anna, device(1), true).await?;
    edge.connect(bert, device(1), true).await?;
    assert_eq!(world.becomes(anna, Online).await?.privacy, privacy);
    world.becomes(bert, Online).await?;
    world
        .call(&SetPrivacy {
            user: bert,
            privacy: Privacy::Contacts,
        })
        .await?;
    let record = world.record(bert).await?;
    assert_eq!((record.state, record.privacy), (Online, Privacy::Contacts));
    edge.disconnect(anna, device(1)).await?;
    let seen = world.becomes(anna, Offline).await?.last_seen;
    assert!(seen.is_some());
    first.stop(Duration::from_secs(5)).await?;
    let second = world.presence().await?;
    let record = world.record(anna).await?;
    assert_eq!((record.last_seen, record.privacy), (seen, privacy));
    edge.connect(anna, device(1), false).await?;
    let record = world.becomes(anna, Away).await?;
    assert_eq!((record.last_seen, record.privacy), (seen, privacy));
    second.stop(Duration::from_secs(5)).await
}
