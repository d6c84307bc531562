//! Presence processes that are killed at random while many people come, go and flap.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use natterjack_nats::wire::ShownState;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{PATIENCE, Scene};
use crate::{
    presence::people::{Connection, Person, Truth},
    seed,
};

const PEOPLE: usize = 200;
const LASTS: Duration = Duration::from_secs(20);

/// What somebody has open at the end: the connection, and whether the app is in the foreground.
type Left = (Person, Option<(Connection, bool)>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_right_at_the_end_however_often_its_processes_are_killed() -> anyhow::Result<()> {
    let seed = seed();
    let scene = Scene::set(2, 2).await?;
    let people = scene.people("user", PEOPLE).await?;
    let watcher = scene.watcher(0, "watcher", &people).await?;

    let over = watch::Sender::new(false);
    let urls: Arc<[String]> = scene.fleet.urls().into();
    let mut living = JoinSet::new();
    for (index, person) in people.iter().cloned().enumerate() {
        let random = StdRng::seed_from_u64(seed.wrapping_add(index as u64));
        living.spawn(live(person, Arc::clone(&urls), random, over.subscribe()));
    }
    let killed = kill(&scene, StdRng::seed_from_u64(seed)).await?;
    over.send_replace(true);
    let mut left: Vec<Left> = Vec::new();
    while let Some(one) = living.join_next().await {
        left.push(one??);
    }

    let connected = left
        .iter()
        .filter_map(|(person, left)| left.as_ref().map(|(held, active)| (person, held, *active)));
    let truth = Truth::of(connected);
    let begun = Instant::now();
    scene.stored.agrees(&truth, PATIENCE).await?;
    println!("{killed} killed, right {:?} after the last move", begun.elapsed());
    let mut states = [0; 3];
    for person in &people {
        let state = truth.state(person.user);
        states[state as usize] += 1;
        watcher
            .until(&[person.user], ShownState::from(state), PATIENCE)
            .await
            .context("what the watcher was told last")?;
    }
    println!("{states:?} offline, away, online");
    ensure!(
        states.iter().all(|count| *count > 10),
        "a model that says little: {states:?}"
    );
    for (_, held) in left {
        if let Some((held, _)) = held {
            held.close().await?;
        }
    }
    drop(watcher);
    scene.finish().await
}

/// Comes and goes, politely or not, for a moment or for a while, in the foreground or not.
async fn live(
    person: Person,
    urls: Arc<[String]>,
    mut random: StdRng,
    mut over: watch::Receiver<bool>,
) -> anyhow::Result<Left> {
    let mut held: Option<(Connection, bool)> = None;
    while !*over.borrow() {
        // Now and then faster than the grace, and faster than the edge writes.
        let pause = if random.random_bool(0.6) {
            random.random_range(20..400)
        } else {
            random.random_range(400..6_000)
        };
        tokio::select! {
            () = sleep(Duration::from_millis(pause)) => {}
            _ = over.changed() => break,
        }
        held = match held {
            None => {
                let (url, active) = (&urls[random.random_range(0..urls.len())], random.random_bool(0.6));
                Some((Connection::open(url, &person, active).await?, active))
            }
            Some((connection, active)) if random.random_bool(0.4) => {
                connection.active(!active);
                Some((connection, !active))
            }
            Some((connection, _)) if random.random_bool(0.5) => {
                connection.close().await?;
                None
            }
            Some(_) => None,
        };
    }
    Ok((person, held))
}

/// Kills one or the other, or both, again and again; how often.
async fn kill(scene: &Scene, mut random: StdRng) -> anyhow::Result<usize> {
    let (until, mut killed) = (Instant::now() + LASTS, 0);
    while Instant::now() < until {
        sleep(Duration::from_millis(random.random_range(200..2_500))).await;
        let both = random.random_bool(0.3);
        let first = random.random_range(0..2);
        let victims = [Some(first), both.then_some(1 - first)];
        for victim in victims.into_iter().flatten() {
            scene.fleet.presences[victim].program().kill().await;
            killed += 1;
        }
        sleep(Duration::from_millis(random.random_range(0..1_000))).await;
        for victim in victims.into_iter().flatten() {
            scene.fleet.presences[victim].restart().await?;
        }
    }
    Ok(killed)
}
