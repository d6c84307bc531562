//! The lease of an edge and the sessions under it, in real buckets: who holds an id, what happens when
//! it is lost, and that the bucket says who is connected, whatever NATS goes through.

mod common;

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::{self, context::traits::Publisher as _, kv::Store, message::PublishMessage};
use clap::Parser;
use common::{PATIENCE, Stage};
use futures::TryStreamExt;
use natterjack_edge::{Args, Edge, presence::Standing};
use natterjack_nats::{
    DeviceId, EdgeId, UserId, cluster,
    limits::LEASE_TTL_MS,
    subjects::kv,
    topology::Bucket,
    wire::{DeviceSession, Lease},
};
use natterjack_runtime::lifecycle::Tasks;
use tokio::time::{Instant, sleep, timeout};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

const ID: &str = "01j9z2a1b2c3d4e5f6g7h8j9k0";

fn id() -> EdgeId {
    ID.parse().expect("an id")
}

fn user(n: u64) -> (UserId, DeviceId) {
    (UserId::from_parts(n, 1), DeviceId::from_parts(n, 2))
}

/// Another edge on the same server, of the same id.
async fn another(stage: &Stage, tasks: &Tasks) -> anyhow::Result<Edge> {
    let url = stage.server.url();
    let words = [
        "edge",
        "--listen=127.0.0.1:0",
        "--nats-url",
        &url,
        "--edge-id",
        ID,
    ];
    natterjack_edge::run(&Command::parse_from(words).args, tasks).await
}

/// What an operator sees.
struct Buckets {
    context: jetstream::Context,
    edges: Store,
    sessions: Store,
}

impl Buckets {
    async fn of(stage: &Stage) -> Self {
        let client = cluster::connect(&stage.server.url(), "operator", |_| {})
            .await
            .expect("a connection");
        let context = jetstream::new(client);
        let bucket = async |bucket: Bucket| context.get_key_value(bucket.name()).await.expect("a bucket");
        Self {
            edges: bucket(Bucket::Edges).await,
            sessions: bucket(Bucket::Sessions).await,
            context,
        }
    }

    async fn lease(&self) -> Option<Lease> {
        let stored = self.edges.get(ID).await.ok()??;
        Some(serde_json::from_slice(&stored).expect("a lease"))
    }

    async fn write(&self, lease: &Lease) {
        let message = PublishMessage::build()
            .payload(serde_json::to_vec(lease).expect("plain").into())
            .ttl(Duration::from_millis(LEASE_TTL_MS))
            .outbound_message(kv::subject(Bucket::Edges, ID));
        let stored = self.context.publish_message(message).await.expect("sent");
        stored.await.expect("stored");
    }

    /// How many sessions and markers are stored, and how many writes there were.
    async fn count(&self) -> (u64, u64) {
        let stream = self.context.get_stream(Bucket::Sessions.stream_name()).await;
        let state = stream.expect("a stream").cached_info().state.clone();
        (state.messages, state.last_sequence)
    }

    /// The sessions of the edge that are stored.
    async fn sessions(&self) -> BTreeMap<(UserId, DeviceId), DeviceSession> {
        let mut found = BTreeMap::new();
        let Ok(keys) = self.sessions.keys().await else {
            return found;
        };
        let keys: Vec<String> = keys.try_collect().await.unwrap_or_default();
        for key in keys {
            let Ok(Some(stored)) = self.sessions.get(&key).await else {
                continue;
            };
            let (edge, user, device) = kv::parse_session(&key).expect("a session's key");
            assert_eq!(edge, id());
            let session = serde_json::from_slice(&stored).expect("a session");
            found.insert((user, device), session);
        }
        found
    }

    /// Waits until just these devices are stored, with `active`, under this epoch.
    async fn say(&self, epoch: u64, wanted: &[((UserId, DeviceId), bool)]) {
        let wanted: BTreeMap<_, _> = wanted.iter().copied().collect();
        let mut last = BTreeMap::new();
        let said = async {
            loop {
                last = self.sessions().await;
                let all_of_epoch = last.values().all(|session| session.epoch == epoch);
                let found: BTreeMap<_, _> =
                    last.iter().map(|(key, session)| (*key, session.active)).collect();
                if all_of_epoch && found == wanted {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = timeout(PATIENCE, said).await.is_ok();
        assert!(
            in_time,
            "of the epoch {epoch} {wanted:?} are wanted, and there are {last:?}"
        );
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, looking).await.expect(what)
}

#[tokio::test]
async fn a_lease_says_where_the_edge_is_and_is_rewritten_and_given_up() {
    let options = [
        "--edge-id",
        ID,
        "--region=eu",
        "--public-url=https://edge-1.example.com",
    ];
    let stage = Stage::new(&options).await;
    let buckets = Buckets::of(&stage).await;
    let first = buckets.lease().await.expect("held before the edge is ready");
    assert_eq!(stage.edge.app.edge, id());
    assert_eq!(
        (first.region.as_str(), first.url.as_str(), first.draining),
        ("eu", "https://edge-1.example.com", false)
    );
    assert_eq!((first.connections, first.connections_max), (0, 100_000));
    assert!(first.epoch >= first.started_at);

    let slot = stage.edge.app.slots.acquire().await.expect("a slot");
    let loaded = until("the load is told", async || {
        buckets.lease().await.filter(|lease| lease.connections == 1)
    })
    .await;
    assert_eq!((loaded.instance, loaded.epoch), (first.instance, first.epoch));
    drop(slot);
    // Longer than one writing lasts.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(LEASE_TTL_MS + 1_500) {
        assert!(buckets.lease().await.is_some(), "it is rewritten in time");
        sleep(Duration::from_millis(100)).await;
    }

    stage.tasks.stop(PATIENCE).await.expect("all tasks end");
    assert_eq!(buckets.lease().await, None, "given up, not left to expire");
    stage.server.stop().await;
}

#[tokio::test]
async fn an_id_that_is_in_use_is_refused_and_one_whose_process_died_is_taken_over() {
    let stage = Stage::new(&["--edge-id", ID]).await;
    let buckets = Buckets::of(&stage).await;
    let app = &stage.edge.app;
    let mine = app.sessions.enter(user(1).0, user(1).1, true);
    let first = buckets.lease().await.expect("held");
    buckets.say(first.epoch, &[(user(1), true)]).await;

    let tasks = Tasks::new();
    let refused = another(&stage, &tasks).await.expect_err("refused").to_string();
    assert!(
        refused.contains("--edge-id") && refused.contains(&first.url),
        "{refused}"
    );
    tasks.stop(Duration::ZERO).await.expect("nothing is left of it");
    assert_eq!(
        buckets.lease().await.map(|lease| lease.instance),
        Some(first.instance)
    );

    // As if it were killed: nothing is given up, nothing is removed.
    stage.tasks.shutdown().hard();
    stage.tasks.stop(PATIENCE).await.expect("all tasks end");
    drop(mine);
    assert!(buckets.lease().await.is_some());
    let tasks = Tasks::new();
    let second = another(&stage, &tasks).await.expect("taken over");
    let lease = buckets.lease().await.expect("held");
    assert_ne!(lease.instance, first.instance);
    assert!(lease.epoch > first.epoch);
    // What the first one left is removed, and what is new stays.
    let _present = second.app.sessions.enter(user(2).0, user(2).1, false);
    buckets.say(lease.epoch, &[(user(2), false)]).await;
    drop(_present);
    tasks.stop(PATIENCE).await.expect("all tasks end");
    stage.server.stop().await;
}

#[tokio::test]
async fn a_lease_that_was_lost_is_taken_anew_and_all_sessions_are_written_again() {
    let stage = Stage::new(&["--edge-id", ID]).await;
    let buckets = Buckets::of(&stage).await;
    let app = &stage.edge.app;
    let first = buckets.lease().await.expect("held");
    let present: Vec<_> = (1..=300)
        .map(|n| app.sessions.enter(user(n).0, user(n).1, n % 2 == 0))
        .collect();
    let all: Vec<_> = (1..=300).map(|n| (user(n), n % 2 == 0)).collect();
    buckets.say(first.epoch, &all).await;

    // As after an expiry, when presence has swept.
    buckets.edges.purge(ID).await.expect("gone");
    let (removed, device) = user(7);
    let key = kv::session(id(), removed, device);
    buckets.sessions.purge(&key).await.expect("swept");
    let second = until("held again", async || buckets.lease().await).await;
    assert_eq!(second.instance, first.instance);
    assert!(second.epoch > first.epoch);
    buckets.say(second.epoch, &all).await;
    assert_eq!(app.drain.told(), Standing::Serving, "nobody was sent away");
    drop(present);
    buckets.say(second.epoch, &[]).await;
    stage.end().await;
}

#[tokio::test]
async fn an_edge_whose_id_was_taken_sends_everybody_away_and_fails() {
    let stage = Stage::new(&["--edge-id", ID]).await;
    let buckets = Buckets::of(&stage).await;
    let app = &stage.edge.app;
    let _present = app.sessions.enter(user(1).0, user(1).1, true);
    let first = buckets.lease().await.expect("held");
    buckets.say(first.epoch, &[(user(1), true)]).await;
    let other = Lease {
        instance: uuid::Uuid::new_v4(),
        epoch: first.epoch + 1_000,
        ..first
    };
    buckets.write(&other).await;
    timeout(PATIENCE, app.drain.begun())
        .await
        .expect("all are sent away");
    assert!(app.drain.open().is_err(), "and nobody is taken in");
    let failure = timeout(PATIENCE, stage.tasks.failed()).await.expect("it fails");
    let failure = format!("{failure:#}");
    assert!(failure.contains("--edge-id"), "{failure}");
    assert!(app.health.ready().is_err());
    assert!(
        stage.tasks.stop(PATIENCE).await.is_err(),
        "the process ends with the failure"
    );
    // Nothing under the id is touched any more: it is another's.
    let lease = buckets.lease().await.expect("the other's");
    assert_eq!(lease.instance, other.instance);
    assert_eq!(buckets.sessions().await.len(), 1);
    stage.server.stop().await;
}

#[tokio::test]
async fn after_nats_was_away_the_bucket_says_again_who_is_connected() {
    let stage = Stage::new(&["--edge-id", ID]).await;
    let buckets = Buckets::of(&stage).await;
    let app = &stage.edge.app;
    let mut stays = app.sessions.enter(user(1).0, user(1).1, true);
    let twice = app.sessions.enter(user(1).0, user(1).1, false);
    let goes = app.sessions.enter(user(2).0, user(2).1, true);
    let first = buckets.lease().await.expect("held");
    buckets
        .say(first.epoch, &[(user(1), true), (user(2), true)])
        .await;

    stage.server.kill().await;
    drop(goes);
    stays.turn(false);
    let _comes = app.sessions.enter(user(3).0, user(3).1, true);
    stage.server.restart().await.expect("back");
    let lease = until("held", async || buckets.lease().await).await;
    buckets
        .say(lease.epoch, &[(user(1), false), (user(3), true)])
        .await;

    // Longer than the lease lasts: all of it has expired meanwhile.
    stage.server.kill().await;
    drop(twice);
    sleep(Duration::from_millis(LEASE_TTL_MS + 500)).await;
    assert!(
        app.health
            .ready()
            .expect_err("not ready")
            .iter()
            .any(|(check, _)| check == "lease"),
        "it tells of a lease that is lost"
    );
    stays.turn(true);
    stage.server.restart().await.expect("back");
    until("ready", async || app.health.ready().ok()).await;
    // In a new epoch, unless the edge was back before the server looked for what had expired.
    let lease = buckets.lease().await.expect("held again");
    buckets
        .say(lease.epoch, &[(user(1), true), (user(3), true)])
        .await;
    drop((stays, _comes));
    stage.end().await;
}

#[tokio::test]
async fn who_changes_often_is_written_now_and_then() {
    let stage = Stage::new(&["--edge-id", ID]).await;
    let buckets = Buckets::of(&stage).await;
    let app = &stage.edge.app;
    let mut present = app.sessions.enter(user(1).0, user(1).1, true);
    let since = Instant::now();
    for n in 0..2_000 {
        present.turn(n % 2 == 1);
        tokio::task::yield_now().await;
    }
    let epoch = buckets.lease().await.expect("held").epoch;
    buckets.say(epoch, &[(user(1), true)]).await;
    let (_, stored) = buckets.count().await;
    assert!(stored > 0);
    // One at once, then two a second; the first comparison may write one more.
    let most = 2 + since.elapsed().as_millis() as u64 / 500;
    assert!(stored <= most, "{stored} writes, and not {most}");
    drop(present);
    stage.end().await;
}

#[tokio::test]
async fn who_comes_in_a_storm_waits_for_no_write_and_each_device_is_written_once() {
    const DEVICES: u64 = 3_000;
    let stage = Stage::new(&["--edge-id", ID]).await;
    let buckets = Buckets::of(&stage).await;
    let app = &stage.edge.app;
    // None of these waits for anything, and each device has two sockets.
    let present: Vec<_> = (1..=2 * DEVICES)
        .map(|n| {
            let (user, device) = user(n % DEVICES);
            app.sessions.enter(user, device, true)
        })
        .collect();
    assert_eq!(app.sessions.len() as u64, DEVICES);
    until("all are stored", async || {
        (buckets.count().await.0 == DEVICES).then_some(())
    })
    .await;
    let (_, written) = buckets.count().await;
    // The comparison at the start may cross with a few that were written just then.
    assert!(written <= DEVICES + 256, "{written} writes of {DEVICES} devices");
    drop(present);
    timeout(PATIENCE, app.sessions.emptied())
        .await
        .expect("all are removed");
    assert_eq!(app.sessions.len(), 0);
    let left = buckets.sessions().await;
    assert!(left.is_empty(), "{} are left", left.len());
    stage.end().await;
}
