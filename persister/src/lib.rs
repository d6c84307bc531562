//! The persister: the only owner of Postgres.
//!
//! Durable consumers write what the streams hold into Postgres; micro services answer edges from
//! it. Any number of persisters run side by side: they share the consumers and the services'
//! queue groups, and take turns on a shard by a lock in Postgres.

pub mod accounts;
mod args;
pub mod conversations;
pub mod db;
pub mod failure;
mod history;
mod ingest;
mod marks;
pub mod outbox;
mod receipts;
pub mod recent;
pub mod sample;
mod streams;
pub mod trim;
pub mod watermarks;

use std::time::Duration;

use anyhow::Context as _;
use async_nats::{Client, Event, jetstream};
use natterjack_nats::{Shards, access::User, cluster};
use natterjack_runtime::{clock::Clock, health::Health, lifecycle::Tasks, metrics::Metrics};
use natterjack_service::{Host, lag::Lag, process::Process};
use tokio::sync::watch;

pub use args::{Args, DatabaseArgs};
use db::Db;
use ingest::IngestMetrics;
use marks::Marks;
use recent::Recent;
use watermarks::Watermarks;

/// What every part of the persister works with; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Postgres.
    pub db: Db,
    /// The connection for services and direct reads.
    pub client: Client,
    /// JetStream over the same connection.
    pub jetstream: jetstream::Context,
    /// How conversations are spread.
    pub shards: Shards,
    /// Up to where Postgres is complete.
    pub watermarks: Watermarks,
    /// What lies beyond.
    pub recent: Recent,
    /// The time.
    pub clock: Clock,
    /// Where metrics are registered.
    pub metrics: Metrics,
}

/// The check that fails until everything was started.
const STARTING: &str = "start";

/// Starts the persister and returns once it is ready; it goes on under `tasks`.
///
/// # Errors
/// NATS or Postgres cannot be had, or the cluster is not provisioned.
pub async fn run(args: &Args, tasks: &Tasks) -> anyhow::Result<()> {
    run_with(args, tasks, Clock::system(), Metrics::new("persister")).await
}

/// As [`run`], with a clock and a metrics registry of the caller's.
///
/// # Errors
/// As [`run`].
pub async fn run_with(args: &Args, tasks: &Tasks, clock: Clock, metrics: Metrics) -> anyhow::Result<()> {
    let tasks = &tasks.child("persister");
    let health = Health::new();
    // `/readyz` is served from here on, but whoever waits for it wants the services.
    health.set(STARTING, Err("not all services answer yet".into()));
    health.measure(&metrics, tasks.shutdown());
    if let Some(address) = args.admin_listen {
        let bound = natterjack_runtime::health::serve(address, metrics.clone(), health.clone(), tasks)
            .await
            .with_context(|| format!("cannot listen on {address}; choose another --admin-listen"))?;
        tracing::info!(admin.address = %bound, "serving health and metrics");
    }
    let (client, _) = connect(args, "natterjack-persister", &health).await?;
    let jetstream = jetstream::new(client.clone());
    let shards = cluster::shards(&jetstream).await?;
    let db = Db::open(args.database(), args.database.connections_max, &metrics).await?;
    let watermarks = Watermarks::new(shards);
    let recent = Recent::new(&client, shards, &watermarks);
    let shared = Shared {
        db,
        client,
        jetstream,
        shards,
        watermarks,
        recent,
        clock,
        metrics,
    };
    let counted = IngestMetrics::new(&shared.metrics);
    let mut marks = Marks::new(&shared, &counted, &health);
    marks.start().await?;
    until_drain(tasks, "marks", marks.keep());
    shared.watermarks.refresh(&shared.jetstream, shards).await?;
    until_drain(
        tasks,
        "watermarks",
        shared
            .watermarks
            .clone()
            .keep_fresh(shared.jetstream.clone(), shards),
    );
    // A client does all its I/O on one task: what is written must not hold up what is answered.
    let (intake, broken) = connect(args, "natterjack-persister-ingest", &health).await?;
    let intake = ingest::Intake {
        jetstream: jetstream::new(intake),
        broken,
    };
    ingest::start(args, &shared, &intake, &counted, &health, tasks);
    let window = Duration::from_secs(u64::from(args.tail_window_hours) * 3_600);
    until_drain(tasks, "trim", trim::keep_trimmed(shared.clone(), window));
    let lag = Lag::new(&shared.metrics);
    until_drain(tasks, "streams", streams::keep_measuring(shared.clone(), lag));
    let host = Host::new(shared.client.clone(), tasks, &shared.metrics);
    history::start(&shared, &counted, &host).await?;
    accounts::start(&shared, args, &host, tasks).await?;
    let outbox = outbox::Outbox::start(&shared, tasks);
    conversations::start(&shared, args, &host, &outbox).await?;
    let process = Process::new("persister", None, shared.clock.clone());
    process.serve(&host, tasks).await?;
    shared.client.flush().await?;
    health.set(STARTING, Ok(()));
    // The server reads a connection in order: once it answers this, it knows the services' verbs.
    shared.watermarks.refresh(&shared.jetstream, shards).await?;
    tracing::info!(shards = shards.count(), "the persister is ready");
    Ok(())
}

/// A connection, and how often it has broken so far.
async fn connect(args: &Args, name: &str, health: &Health) -> anyhow::Result<(Client, watch::Receiver<u64>)> {
    let (check, health) = (name.to_owned(), health.clone());
    let (breaks, broken) = watch::channel(0);
    let client = cluster::connect(args.nats.login(User::Persister), name, move |event| match event {
        Event::Connected => health.set(check.as_str(), Ok(())),
        Event::Disconnected => {
            health.set(check.as_str(), Err("not connected to NATS".into()));
            breaks.send_modify(|count| *count += 1);
        }
        _ => {}
    })
    .await?;
    Ok((client, broken))
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
