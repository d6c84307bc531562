//! Every edge is stopped and started again, one after the other, while a crowd talks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, ensure};
use natterjack::fleet::Socket;
use natterjack_nats::{
    UserId,
    wire::{PresenceState, ServerFrame, ShownState},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{PATIENCE, Scene, users};
use crate::{crowd::Crowd, presence::people::Person, seed};

const EDGES: usize = 3;
const CLIENTS: usize = 30;
const MOVERS: usize = 20;
/// Whoever is away for less than this is not seen to leave: the grace, less what it may take on a busy
/// machine until an edge has written that they are back.
const UNSEEN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_nobody_who_moves_is_seen_to_leave() -> anyhow::Result<()> {
    let seed = seed();
    let scene = Scene::set(EDGES, 1).await?;
    let movers = scene.people("mover", MOVERS).await?;
    let mut crowd = Crowd::gather(&scene.fleet.urls(), CLIENTS).await?;
    let all: Vec<UserId> = users(&movers).into_iter().chain(crowd.users()).collect();
    let watcher = scene.watcher_of(0, "watcher", all.clone()).await?;
    let moves = Arc::new(Moves::default());
    let (over, mut moving) = (watch::Sender::new(false), JoinSet::new());
    for (index, person) in movers.iter().cloned().enumerate() {
        let mut urls = scene.fleet.urls();
        urls.rotate_left(index % EDGES);
        moving.spawn(go_where_it_goes_on(
            urls,
            person,
            Arc::clone(&moves),
            over.subscribe(),
        ));
    }
    watcher.until(&all, ShownState::Online, PATIENCE).await?;
    let mark = watcher.mark();

    crowd.talk(seed);
    for (index, edge) in scene.fleet.edges.iter().enumerate() {
        let begun = Instant::now();
        edge.stop().await.with_context(|| format!("edge {index}"))?;
        println!("edge {index} drained in {:?}", begun.elapsed());
        edge.restart().await?;
    }
    crowd.check().await?;

    watcher.until(&all, ShownState::Online, PATIENCE).await?;
    let talkers = crowd.users();
    let flicker = watcher.other_than(ShownState::Online, &talkers, mark);
    ensure!(
        flicker.is_empty(),
        "seen to leave although they only moved: {flicker:?}"
    );
    for told in watcher.other_than(ShownState::Online, &users(&movers), mark) {
        let away = moves.away_before(told.user, told.at);
        ensure!(away >= UNSEEN, "{told:?} after it was away for {away:?}");
    }
    let (quick, made) = moves.quick();
    println!("{quick} of {made} moves took less than {UNSEEN:?}");
    // Each sat on an edge that was stopped, at least once.
    ensure!(made >= MOVERS && 2 * quick >= made, "{quick} of {made}");

    over.send_replace(true);
    while let Some(moved) = moving.join_next().await {
        moved??;
    }
    crowd.leave().await?;
    scene.stored.until(&all, PresenceState::Offline, PATIENCE).await?;
    drop(watcher);
    scene.finish().await
}

/// When a connection began, and when it ended if it has.
type ConnectionSpan = (Instant, Option<Instant>);

/// When each mover was connected.
#[derive(Debug, Default)]
struct Moves {
    spans: Mutex<BTreeMap<UserId, Vec<ConnectionSpan>>>,
}

impl Moves {
    fn begin(&self, user: UserId) {
        let mut spans = self.spans.lock().unwrap();
        spans.entry(user).or_default().push((Instant::now(), None));
    }

    fn end(&self, user: UserId) {
        let mut spans = self.spans.lock().unwrap();
        if let Some((_, ended)) = spans.entry(user).or_default().last_mut() {
            *ended = Some(Instant::now());
        }
    }

    /// How long the user was away the last time before `at`.
    fn away_before(&self, user: UserId, at: Instant) -> Duration {
        let spans = self.spans.lock().unwrap();
        let spans = spans.get(&user).map_or(&[][..], Vec::as_slice);
        let ended = |index: usize| spans[index].1.filter(|ended| *ended <= at);
        let Some(last) = (0..spans.len()).rev().find(|index| ended(*index).is_some()) else {
            return Duration::ZERO;
        };
        let back = spans.get(last + 1).map_or(at, |(begun, _)| *begun);
        ended(last).map_or(Duration::ZERO, |ended| back.saturating_duration_since(ended))
    }

    /// How many moves were quick, of how many.
    fn quick(&self) -> (usize, usize) {
        let spans = self.spans.lock().unwrap();
        let gaps = spans.values().flat_map(|spans| {
            spans
                .windows(2)
                .filter_map(|two| Some(two[1].0.duration_since(two[0].1?)))
        });
        let gaps: Vec<Duration> = gaps.collect();
        (gaps.iter().filter(|gap| **gap < UNSEEN).count(), gaps.len())
    }
}

/// A client that goes to another edge as soon as its own says that it drains.
async fn go_where_it_goes_on(
    urls: Vec<String>,
    person: Person,
    moves: Arc<Moves>,
    mut over: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut next = urls.clone();
    loop {
        for url in std::mem::take(&mut next).iter().chain(&urls) {
            let Ok(mut socket) = Socket::open(url, &person.token, true).await else {
                continue;
            };
            moves.begin(person.user);
            loop {
                tokio::select! {
                    _ = over.changed() => {
                        socket.close().await;
                        return Ok(());
                    }
                    frame = socket.next() => match frame {
                        Ok(ServerFrame::Draining { edges, .. }) => {
                            ensure!(!edges.contains(url), "an edge that drains names itself");
                            next = edges;
                            break;
                        }
                        Ok(_) => {}
                        Err(_) => break,
                    }
                }
            }
            drop(socket);
            moves.end(person.user);
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
}
