//! Edges that are killed, held still, or started twice.

use std::path::Path;

use anyhow::{Context, ensure};
use natterjack::fleet::RoleProcess;
use natterjack_nats::{
    access::User,
    wire::{PresenceState, ShownState},
};
use tokio::time::Instant;

use super::{PATIENCE, PROMISED, Scene, close, users};
use crate::presence::people::{Connection, Truth};

const ALONE: usize = 20;
const BOTH: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_an_edge_its_users_and_only_they_are_offline_and_no_ghost_stays()
-> anyhow::Result<()> {
    let scene = Scene::set(2, 1).await?;
    a_killed_edge(&scene).await.context("an edge that is killed")?;
    a_second_edge_of_the_same_id(&scene)
        .await
        .context("a second edge of the same id")?;
    an_edge_that_is_held_still(&scene)
        .await
        .context("an edge that is held still")?;
    scene.finish().await
}

/// Its users are offline in time, and those who sit on another edge too are not touched.
async fn a_killed_edge(scene: &Scene) -> anyhow::Result<()> {
    let alone = scene.people("alone", ALONE).await?;
    let both = scene.people("both", BOTH).await?;
    let watcher = scene
        .watcher(1, "watcher", &[alone.clone(), both.clone()].concat())
        .await?;
    let lost = scene.connect(0, &alone).await?;
    let half = scene.connect(0, &both).await?;
    let mut elsewhere = Vec::new();
    for person in &both {
        elsewhere.push(person.again(&scene.url(1)).await?);
    }
    let kept = scene.connect(1, &elsewhere).await?;
    scene.are(&alone, PresenceState::Online, &watcher).await?;
    scene.are(&both, PresenceState::Online, &watcher).await?;

    let (mark, killed) = (watcher.mark(), Instant::now());
    scene.fleet.edges[0].program().kill().await;
    let gone = users(&alone);
    let (shown, stored) = tokio::join!(
        watcher.until(&gone, ShownState::Offline, PROMISED),
        scene.stored.until(&gone, PresenceState::Offline, PROMISED),
    );
    shown.context("to a watcher on another edge")?;
    stored?;
    println!(
        "{ALONE} users offline {:?} after their edge was killed",
        killed.elapsed()
    );
    let edge = lost[0].edge;
    drop((lost, half));

    // What is left of that edge goes, and those who sit elsewhere stay as they are.
    let truth = Truth::of(
        elsewhere
            .iter()
            .zip(&kept)
            .map(|(person, held)| (person, held, true)),
    );
    scene.stored.agrees(&truth, PATIENCE).await?;
    let touched = watcher.other_than(ShownState::Online, &users(&both), mark);
    ensure!(
        touched.is_empty(),
        "touched although they sit elsewhere: {touched:?}"
    );
    ensure!(kept.iter().all(Connection::is_open));
    ensure!(scene.stored.lease(edge).await?.is_none());

    scene.fleet.edges[0].restart().await?;
    let back = scene.connect(0, &alone).await?;
    scene.are(&alone, PresenceState::Online, &watcher).await?;
    close(back).await?;
    close(kept).await?;
    scene.are(&both, PresenceState::Offline, &watcher).await?;
    scene.are(&alone, PresenceState::Offline, &watcher).await
}

/// It is refused in words that say what to do, and the first goes on as if nothing had been.
async fn a_second_edge_of_the_same_id(scene: &Scene) -> anyhow::Result<()> {
    let people = scene.people("first", 3).await?;
    let watcher = scene.watcher(1, "watcher-of-first", &people).await?;
    let held = scene.connect(0, &people).await?;
    scene.are(&people, PresenceState::Online, &watcher).await?;
    let edge = held[0].edge;
    let before = scene
        .stored
        .lease(edge)
        .await?
        .context("the lease of the first")?;
    let mark = watcher.mark();

    let id = edge.to_string();
    let ground = scene.fleet.ground();
    let nats = ground.nats_options(User::Edge);
    let own = ["--edge-id", &id];
    let words: Vec<_> = nats.iter().map(String::as_str).chain(own).collect();
    let second = RoleProcess::start(
        Path::new(env!("CARGO_BIN_EXE_natterjack")),
        "edge",
        "--listen",
        &words,
        &ground.path().join("edge-second"),
    )
    .await;
    let refused = format!("{:#}", second.err().context("a second edge of the same id runs")?);
    ensure!(
        refused.contains(&id) && refused.contains("--edge-id"),
        "{refused}"
    );

    let after = scene
        .stored
        .lease(edge)
        .await?
        .context("the lease of the first")?;
    ensure!(
        (before.instance, before.epoch) == (after.instance, after.epoch),
        "{before:?} became {after:?}"
    );
    ensure!(held.iter().all(Connection::is_open));
    let touched = watcher.other_than(ShownState::Online, &users(&people), mark);
    ensure!(touched.is_empty(), "{touched:?}");
    // It still takes people and tells of them.
    let more = scene.people("later", 1).await?;
    let more_held = scene.connect(0, &more).await?;
    scene
        .stored
        .until(&users(&more), PresenceState::Online, PATIENCE)
        .await?;
    close(more_held).await?;
    close(held).await?;
    scene.are(&people, PresenceState::Offline, &watcher).await
}

/// It comes back after its lease is gone: who is still there is online again, who went meanwhile is
/// not, and once all have gone nothing is left.
async fn an_edge_that_is_held_still(scene: &Scene) -> anyhow::Result<()> {
    let (stay, go) = (scene.people("stay", 5).await?, scene.people("go", 5).await?);
    let all = [stay.clone(), go.clone()].concat();
    let watcher = scene.watcher(1, "watcher-of-still", &all).await?;
    let staying = scene.connect(0, &stay).await?;
    let going = scene.connect(0, &go).await?;
    scene.are(&all, PresenceState::Online, &watcher).await?;
    let edge = staying[0].edge;
    let before = scene.stored.lease(edge).await?.context("the lease")?;

    let edge_process = scene.fleet.edges[0].program();
    edge_process.pause();
    let gone = users(&all);
    let (shown, stored) = tokio::join!(
        watcher.until(&gone, ShownState::Offline, PROMISED),
        scene.stored.until(&gone, PresenceState::Offline, PROMISED),
    );
    shown.context("to a watcher on another edge")?;
    stored?;
    drop(going);
    edge_process.resume();

    // Nobody else has its id, so that it goes on with those who are there, in a new epoch.
    let truth = Truth::of(
        stay.iter()
            .zip(&staying)
            .map(|(person, held)| (person, held, true)),
    );
    scene.stored.agrees(&truth, PATIENCE).await?;
    scene.are(&stay, PresenceState::Online, &watcher).await?;
    scene.are(&go, PresenceState::Offline, &watcher).await?;
    ensure!(staying.iter().all(Connection::is_open));
    let after = scene.stored.lease(edge).await?.context("the lease")?;
    ensure!(
        after.instance == before.instance && after.epoch > before.epoch,
        "{before:?} became {after:?}"
    );
    scene.fleet.edges[0].ready().await?;
    close(staying).await?;
    scene.are(&stay, PresenceState::Offline, &watcher).await
}
