//! Several processes at once, and the end of one in the middle of everything.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use natterjack_nats::{limits::WATCH_USERS_MAX, services::presence::Query, wire::PresenceState};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Edge, World, device, user,
    world::{kill, until},
};

const USERS: u128 = 60;
const STEPS: usize = 1_500;

/// What is connected: edge, user, device → in the foreground.
type Model = BTreeMap<(usize, u128, u128), bool>;

fn state(model: &Model, number: u128) -> PresenceState {
    let own = model.iter().filter(|((_, user, _), _)| *user == number);
    own.map(|(_, active)| {
        if *active {
            PresenceState::Online
        } else {
            PresenceState::Away
        }
    })
    .max()
    .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_is_killed_in_the_middle() -> anyhow::Result<()> {
    let seed = rand::rng().random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (world, doomed) = World::start().await?;
    let second = world.presence().await?;
    let edges = [Edge::start(&world, 1).await?, Edge::start(&world, 2).await?];
    let (mut model, mut third) = (Model::new(), None);
    for step in 0..STEPS {
        let key = (
            random.random_range(0..edges.len()),
            random.random_range(0..USERS),
            random.random_range(0..2_u128),
        );
        let (edge, number, of) = key;
        if model.contains_key(&key) && random.random_bool(0.5) {
            model.remove(&key);
            edges[edge].disconnect(user(number), device(of)).await?;
        } else {
            let active = random.random_bool(0.5);
            model.insert(key, active);
            edges[edge].connect(user(number), device(of), active).await?;
        }
        if step == STEPS / 3 {
            kill(&doomed).await;
        }
        if step == STEPS * 2 / 3 {
            third = Some(world.presence().await?);
        }
    }
    world.settled().await?;
    for number in 0..USERS {
        let (found, expected) = (world.record(user(number)).await?, state(&model, number));
        assert_eq!(found.state, expected, "user {number}, seed {seed}");
    }
    // Nobody is left to handle what all do at once, but the two; and then nobody but one.
    kill(&second).await;
    for (edge, number, of) in model.keys() {
        edges[*edge].disconnect(user(*number), device(*of)).await?;
    }
    for number in 0..USERS {
        world.becomes(user(number), PresenceState::Offline).await?;
    }
    third.unwrap().stop(Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_comes_and_goes_as_fast_as_it_can() -> anyhow::Result<()> {
    const CROWD: u128 = 2_000;
    let (world, first) = World::start().await?;
    let second = world.presence().await?;
    let edge = Edge::start(&world, 1).await?;
    let all = || futures::stream::iter(1..=CROWD);
    let connect = |number| edge.connect(user(number), device(1), true);
    all()
        .map(connect)
        .buffer_unordered(64)
        .try_collect::<()>()
        .await?;
    let everybody = async |wanted: PresenceState| {
        until("everybody is as they should be", async || {
            let users: Vec<_> = (1..=CROWD).map(user).collect();
            for part in users.chunks(WATCH_USERS_MAX) {
                let users = part.to_vec();
                let known = world.call(&Query { users }).await?;
                if known.iter().any(|known| known.record.state != wanted) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    };
    everybody(PresenceState::Online).await?;
    let disconnect = |number| edge.disconnect(user(number), device(1));
    all()
        .map(disconnect)
        .buffer_unordered(64)
        .try_collect::<()>()
        .await?;
    everybody(PresenceState::Offline).await?;
    world.settled().await?;
    first.stop(Duration::from_secs(5)).await?;
    second.stop(Duration::from_secs(5)).await
}
