//! Deciding: reads the chat streams a grace behind their head, and writes to `pushes` what devices are to be
//! told.
//!
//! | file | what it does |
//! |---|---|
//! | `room` | messages wait for the grace |
//! | `decider` | a batch, from the receipts that are known to the acks |
//! | `recipients` | who is in the conversation, and for whom the outcome decides |
//! | `handover` | devices are read, jobs are written |
//! | `verdict` | the decision itself, pure |

mod changes;
mod decider;
mod devices;
mod floors;
mod handover;
mod look;
mod mention;
mod metrics;
mod notice;
mod people;
mod recipients;
mod room;
mod verdict;

use std::time::Duration;

use async_nats::jetstream;
use natterjack_nats::topology::{RECEIPTS, chat_stream};
use natterjack_runtime::{lifecycle::Tasks, server_time::ServerTime, trace::Tracer};
use tokio::sync::mpsc;

pub use decider::Decider;
pub use metrics::DecideMetrics;
pub use people::People;

use crate::{
    Connected, Parts,
    outcome::Outcomes,
    pushes::Pushes,
    source::{FETCH_MAX, Source},
    takeback::Takeback,
    trace::Trace,
    withdraw,
};
use floors::Floors;

/// Receipts are kept for longer than two graces, in which a text is decided, and a redelivery.
const WINDOW_BEYOND: Duration = Duration::from_secs(60);

/// What deciding shares with pushing.
pub struct Deciding {
    /// What became of messages.
    pub outcomes: Outcomes,
    /// The time by the servers.
    pub time: ServerTime,
}

/// Starts to decide and to withdraw.
///
/// # Errors
/// NATS is away.
pub async fn start(parts: &Parts, deciding: &Connected, receipts: &Connected) -> anyhow::Result<Deciding> {
    let metrics = DecideMetrics::new(&parts.metrics);
    let time = ServerTime::new();
    let grace = Duration::from_millis(parts.args.grace_ms);
    let window = grace * 2 + WINDOW_BEYOND;
    let outcomes = Outcomes::open(receipts.client.clone(), window, time.clone(), &parts.metrics).await?;
    let floors = Floors::new(deciding.client.clone(), parts.shards, outcomes.clone());
    floors.look().await;
    let (tasks, health) = (&parts.tasks, &parts.health);
    until_drain(tasks, "receipts", outcomes.clone().run(health.clone()));
    let people = People::new(parts.client.clone());
    let takeback = |connected: &Connected, pushes: &Pushes| Takeback {
        pushes: pushes.clone(),
        people: people.clone(),
        trace: Trace::new(connected.client.clone()),
        time: time.clone(),
        metrics: metrics.clone(),
    };
    let source = |connected: &Connected, stream| Source {
        context: jetstream::new(connected.client.clone()),
        stream,
        shutdown: tasks.shutdown().clone(),
        broken: connected.broken.clone(),
        health: health.clone(),
        lag: parts.lag.clone(),
    };
    for shard in parts.shards.all() {
        let (sender, messages) = mpsc::channel(FETCH_MAX);
        let stream = chat_stream(shard);
        let (fetch, decide) = (format!("messages of {stream}"), format!("decide {stream}"));
        // Of its own: async-nats bounds how many writes of one context wait for their ack, and each shard makes
        // many before it awaits them.
        let pushes = Pushes::open(deciding.client.clone(), metrics.conflicts.clone()).await?;
        let decider = Decider {
            client: deciding.client.clone(),
            shards: parts.shards,
            outcomes: outcomes.clone(),
            takeback: takeback(deciding, &pushes),
            pushes,
            people: people.clone(),
            trace: Trace::new(deciding.client.clone()),
            time: time.clone(),
            metrics: metrics.clone(),
            tracer: Tracer::installed(),
            health: health.clone(),
            grace_ms: parts.args.grace_ms,
            ttl_ms: parts.args.ttl_hours * 3_600_000,
            preview: parts.args.preview,
        };
        let floors = floors.clone();
        let looked = move |info| {
            let floors = floors.clone();
            async move { floors.note(shard, &info).await }
        };
        until_killed(tasks, fetch, source(deciding, stream).run(sender, looked));
        until_killed(tasks, decide, room::run(decider, messages));
    }
    let pushes = Pushes::open(receipts.client.clone(), metrics.conflicts.clone()).await?;
    let (sender, messages) = mpsc::channel(FETCH_MAX);
    let fetch = source(receipts, RECEIPTS.into()).run(sender, async |_| {});
    until_killed(tasks, "messages of RECEIPTS", fetch);
    let withdraw = withdraw::run(
        receipts.client.clone(),
        takeback(receipts, &pushes),
        metrics,
        messages,
    );
    until_killed(tasks, "withdraw", withdraw);
    Ok(Deciding { outcomes, time })
}

/// Runs something that never ends by itself and may be dropped at any await, until the drain.
fn until_drain(tasks: &Tasks, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn(name, async move {
        tokio::select! {
            () = work => {}
            () = shutdown.draining() => {}
        }
        Ok(())
    });
}

/// Runs something that ends by itself after the drain began, no longer than until nobody waits any more.
fn until_killed(
    tasks: &Tasks,
    name: impl Into<std::borrow::Cow<'static, str>>,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn(name, async move {
        tokio::select! {
            () = work => {}
            () = shutdown.killed() => {}
        }
        Ok(())
    });
}
