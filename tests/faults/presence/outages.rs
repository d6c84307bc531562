//! Every presence process away, and NATS away, for less and for more than a lease lasts.

use std::time::Duration;

use anyhow::{Context, ensure};
use natterjack_nats::{
    limits::LEASE_TTL_MS,
    wire::{PresenceState, ShownState},
};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, Scene, close, users};
use crate::presence::people::{Connection, Truth};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_and_nats_may_go_and_come_back() -> anyhow::Result<()> {
    let scene = Scene::set(2, 2).await?;
    without_any_presence(&scene)
        .await
        .context("without any presence process")?;
    without_nats(&scene, "short", Duration::ZERO)
        .await
        .context("NATS away for a moment")?;
    let longer_than_leases = Duration::from_millis(LEASE_TTL_MS + 2_000);
    without_nats(&scene, "long", longer_than_leases)
        .await
        .context("NATS away for longer than leases last")?;
    scene.finish().await
}

/// What happens meanwhile is told once one of them is back.
async fn without_any_presence(scene: &Scene) -> anyhow::Result<()> {
    let (come, go) = (scene.people("come", 3).await?, scene.people("go", 3).await?);
    let (hide, stay) = (scene.people("hide", 3).await?, scene.people("stay", 3).await?);
    let there = [go.clone(), hide.clone(), stay.clone()].concat();
    let watcher = scene
        .watcher(1, "watcher", &[there.clone(), come.clone()].concat())
        .await?;
    let going = scene.connect(0, &go).await?;
    let hiding = scene.connect(0, &hide).await?;
    let staying = scene.connect(1, &stay).await?;
    scene.are(&there, PresenceState::Online, &watcher).await?;

    for process in &scene.fleet.presences {
        process.program().kill().await;
    }
    let mark = watcher.mark();
    let coming = scene.connect(0, &come).await?;
    close(going).await?;
    hiding.iter().for_each(|held| held.active(false));
    // The edges have written it all, and nobody has worked out yet what it means.
    let truth = Truth::of(
        come.iter()
            .zip(&coming)
            .chain(stay.iter().zip(&staying))
            .map(|(person, held)| (person, held, true))
            .chain(
                hide.iter()
                    .zip(&hiding)
                    .map(|(person, held)| (person, held, false)),
            ),
    );
    sessions_are(scene, &truth).await?;
    let told = watcher.since(mark);
    ensure!(told.is_empty(), "told without a presence process: {told:?}");
    scene
        .stored
        .until(&users(&go), PresenceState::Online, Duration::ZERO)
        .await?;
    scene
        .stored
        .until(&users(&come), PresenceState::Offline, Duration::ZERO)
        .await?;

    let back = Instant::now();
    for process in &scene.fleet.presences {
        process.restart().await?;
    }
    scene.are(&come, PresenceState::Online, &watcher).await?;
    scene.are(&go, PresenceState::Offline, &watcher).await?;
    scene.are(&hide, PresenceState::Away, &watcher).await?;
    scene.stored.agrees(&truth, PATIENCE).await?;
    println!("right {:?} after presence was started again", back.elapsed());
    let touched = watcher.other_than(ShownState::Online, &users(&stay), mark);
    ensure!(touched.is_empty(), "{touched:?}");
    close([coming, hiding, staying].into_iter().flatten().collect()).await?;
    scene
        .are(&[come, there].concat(), PresenceState::Offline, &watcher)
        .await
}

/// Who is connected all the time is never shown offline; who went meanwhile is gone afterwards.
async fn without_nats(scene: &Scene, name: &str, longer_by: Duration) -> anyhow::Result<()> {
    let stay = scene.people(&format!("{name}-stay"), 10).await?;
    let go = scene.people(&format!("{name}-go"), 5).await?;
    let all = [stay.clone(), go.clone()].concat();
    let watcher = scene.watcher(1, &format!("{name}-watcher"), &all).await?;
    let staying = scene.connect(0, &stay).await?;
    let going = scene.connect(0, &go).await?;
    scene.are(&all, PresenceState::Online, &watcher).await?;
    let mark = watcher.mark();

    let nats = scene.fleet.ground().nats();
    nats.kill().await;
    drop(going);
    // Nothing can be watched without NATS: how long it is away is what is tried here.
    sleep(longer_by).await;
    nats.restart().await?;
    let back = Instant::now();
    scene.are(&go, PresenceState::Offline, &watcher).await?;
    println!("{name}: right {:?} after NATS was back", back.elapsed());
    let truth = Truth::of(
        stay.iter()
            .zip(&staying)
            .map(|(person, held)| (person, held, true)),
    );
    scene.stored.agrees(&truth, PATIENCE).await?;
    scene.are(&stay, PresenceState::Online, &watcher).await?;
    // Somebody new is seen as before.
    let new = scene.people(&format!("{name}-new"), 1).await?;
    let new_held = scene.connect(1, &new).await?;
    scene
        .stored
        .until(&users(&new), PresenceState::Online, PATIENCE)
        .await?;
    close(new_held).await?;

    ensure!(
        staying.iter().all(Connection::is_open),
        "a socket did not live through it"
    );
    let touched = watcher.other_than(ShownState::Online, &users(&stay), mark);
    ensure!(
        touched.is_empty(),
        "shown to leave although they stayed: {touched:?}"
    );
    close(staying).await?;
    scene.are(&stay, PresenceState::Offline, &watcher).await
}

/// Waits until the edges have written who is connected.
async fn sessions_are(scene: &Scene, truth: &Truth) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sessions = scene.stored.sessions().await?;
        if sessions
            .iter()
            .map(|(key, session)| (*key, session.active))
            .eq(truth.sessions.iter().map(|(key, active)| (*key, *active)))
        {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{sessions:?} and not {truth:?}");
        sleep(Duration::from_millis(50)).await;
    }
}
