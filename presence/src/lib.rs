//! Presence: who is online, away or offline, worked out from the sessions and leases that edges write.
//!
//! It has no state of its own: every event is a reason to look, and what is written is worked out from
//! what is stored. Any number of processes share two durable consumers, and any of them may be killed.

mod args;
mod audit;
pub mod decide;
mod evaluate;
mod events;
mod follow;
mod leases;
mod metrics;
mod outages;
mod service;
mod store;
mod sweep;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::{Client, Event, jetstream};
use natterjack_nats::{access::User, cluster, topology::Bucket};
use natterjack_runtime::{
    clock::Clock, health::Health, lifecycle::Tasks, metrics::Metrics, server_time::ServerTime,
};
use natterjack_service::{Host, process::Process};
use tokio::sync::{mpsc, watch};

pub use args::Args;
use evaluate::{LOOKS_MAX, Looker};
use events::Source;
use leases::Leases;
use metrics::PresenceMetrics;
use outages::{Connection, Outages};
use store::Store;

/// The check that fails until everything was started.
const STARTING: &str = "start";

/// Starts presence and returns once it is ready; it goes on under `tasks`.
///
/// # Errors
/// NATS cannot be had, or the cluster is not provisioned.
pub async fn run(args: &Args, tasks: &Tasks) -> anyhow::Result<()> {
    run_with(args, tasks, Metrics::new("presence")).await
}

/// As [`run`], with a metrics registry of the caller's.
///
/// # Errors
/// As [`run`].
pub async fn run_with(args: &Args, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<()> {
    let tasks = &tasks.child("presence");
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
    let outages = Outages::new();
    let (client, _) = connect(args, "natterjack-presence", outages.connection(), &health).await?;
    cluster::shards(&jetstream::new(client.clone())).await?;
    let store = Store::open(client.clone())
        .await
        .context("run `natterjack provision` first")?;
    let time = ServerTime::new();
    let looker = Looker {
        leases: Leases::new(store.clone(), time.clone(), outages.clone()),
        store,
        time,
        grace: Duration::from_millis(args.grace_ms),
        metrics: PresenceMetrics::new(&metrics),
        shutdown: tasks.shutdown().clone(),
    };
    let follower = follow::Follower::start(&looker, &health).await?;
    until_drain(tasks, "leases", follower.run());
    // A client does all its I/O on one task: looks must not hold up answers.
    let (events, broken) = connect(args, "natterjack-presence-events", outages.connection(), &health).await?;
    let working = Looker {
        store: Store::open(events.clone()).await?,
        ..looker.clone()
    };
    let context = jetstream::new(events);
    let source = |bucket| Source {
        context: context.clone(),
        bucket,
        shutdown: tasks.shutdown().clone(),
        broken: broken.clone(),
        health: health.clone(),
        metrics: working.metrics.clone(),
    };
    follow_sessions(tasks, &working, source(Bucket::Sessions));
    follow_edges(tasks, &working, source(Bucket::Edges));
    let host = Host::new(client.clone(), tasks, &metrics);
    service::start(&looker, &host).await?;
    let process = Process::new("presence", None, Clock::system());
    process.serve(&host, tasks).await?;
    client.flush().await?;
    // The server reads a connection in order: once it answers this, it knows the services' verbs.
    looker.store.info(Bucket::Presence).await?;
    health.set(STARTING, Ok(()));
    tracing::info!("presence is ready");
    Ok(())
}

/// A connection, and how often it has broken so far.
async fn connect(
    args: &Args,
    name: &str,
    connection: Connection,
    health: &Health,
) -> anyhow::Result<(Client, watch::Receiver<u64>)> {
    let (check, health) = (name.to_owned(), health.clone());
    let (breaks, broken) = watch::channel(0);
    let client = cluster::connect(args.nats.login(User::Presence), name, move |event| match event {
        Event::Connected => {
            connection.made();
            health.set(check.as_str(), Ok(()));
        }
        Event::Disconnected => {
            connection.broke();
            health.set(check.as_str(), Err("not connected to NATS".into()));
            breaks.send_modify(|count| *count += 1);
        }
        _ => {}
    })
    .await?;
    Ok((client, broken))
}

fn follow_sessions(tasks: &Tasks, looker: &Looker, source: Source) {
    let (sender, events) = mpsc::channel(LOOKS_MAX);
    let shared = Arc::new((looker.clone(), audit::Audited::default()));
    let opened = move |consumer| {
        let shared = Arc::clone(&shared);
        async move {
            let (looker, audited) = &*shared;
            let outcome = audit::audit_if_missed(looker, audited, &consumer).await;
            outcome.map_err(|error| error.to_string())
        }
    };
    until_killed(tasks, "events of sessions", source.run(sender, opened));
    until_killed(tasks, "sessions", events::follow_sessions(looker.clone(), events));
}

fn follow_edges(tasks: &Tasks, looker: &Looker, source: Source) {
    let (sender, events) = mpsc::channel(1);
    until_killed(tasks, "events of edges", source.run(sender, async |_| Ok(())));
    until_killed(tasks, "edges", events::follow_edges(looker.clone(), events));
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
fn until_killed(tasks: &Tasks, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let shutdown = tasks.shutdown().clone();
    tasks.spawn(name, async move {
        tokio::select! {
            () = work => {}
            () = shutdown.killed() => {}
        }
        Ok(())
    });
}
