//! The notifier: decides by what happened to a message whether it is pushed, to which devices, and
//! pushes it by Web Push and FCM.
//!
//! Two halves that meet in the bucket `pushes`. Deciding reads the chat streams some seconds behind their
//! head and writes what each device is to be told of a conversation; pushing follows that bucket and
//! hands its entries to push services. Neither has a state of its own: any number of processes share the
//! durable consumers, and any of them may be killed.

mod args;
mod decide;
mod fcm;
mod outcome;
mod push;
mod pushes;
mod send;
mod source;
mod takeback;
mod trace;
mod webpush;
mod why;
mod withdraw;

use anyhow::Context as _;
use async_nats::{Client, Event, jetstream};
use natterjack_nats::{Shards, access::User, cluster, services::names};
use natterjack_runtime::{clock::Clock, health::Health, lifecycle::Tasks, metrics::Metrics};
use natterjack_service::{Host, lag::Lag, process::Process};
use tokio::sync::watch;

pub use args::Args;
pub use outcome::{OutcomeError, Outcomes, Reached};
pub use push::{Outcome, Push, PushService, Scope};
pub use trace::{Trace, TraceError};
pub use webpush::{VapidError, WebPush, sample};

/// The check that fails until everything was started.
const STARTING: &str = "start";

/// Starts the notifier and returns once it is ready; it goes on under `tasks`.
///
/// # Errors
/// NATS cannot be had, the cluster is not provisioned, or the credentials of a push service are unusable.
pub async fn run(args: &Args, tasks: &Tasks) -> anyhow::Result<()> {
    run_with(args, tasks, Metrics::new("notifier")).await
}

/// As [`run`], with a metrics registry of the caller's.
///
/// # Errors
/// As [`run`].
pub async fn run_with(args: &Args, tasks: &Tasks, metrics: Metrics) -> anyhow::Result<()> {
    let tasks = &tasks.child("notifier");
    let health = Health::new();
    // `/readyz` is served from here on, but whoever waits for it wants the services.
    health.set(STARTING, Err("not everything was started yet".into()));
    health.measure(&metrics, tasks.shutdown());
    if let Some(address) = args.admin_listen {
        let bound = natterjack_runtime::health::serve(address, metrics.clone(), health.clone(), tasks)
            .await
            .with_context(|| format!("cannot listen on {address}; choose another --admin-listen"))?;
        tracing::info!(admin.address = %bound, "serving health and metrics");
    }
    let Connected { client, .. } = connect(args, "natterjack-notifier", &health).await?;
    let shards = cluster::shards(&jetstream::new(client.clone())).await?;
    let host = Host::new(client.clone(), tasks, &metrics);
    let lag = Lag::new(&metrics);
    let parts = Parts {
        args: args.clone(),
        client: client.clone(),
        shards,
        tasks: tasks.clone(),
        health: health.clone(),
        metrics,
        lag,
        host,
    };
    // A client does all its I/O on one task: what is read in bulk must not hold up answers.
    let deciding = connect(args, "natterjack-notifier-decide", &health).await?;
    let receipts = connect(args, "natterjack-notifier-receipts", &health).await?;
    let deciding = decide::start(&parts, &deciding, &receipts).await?;
    send::start(&parts, &deciding).await?;
    let service = parts.host.service(
        names::PUSH,
        "Why messages were pushed or not, and pushes that were given up",
    );
    let service = service.await?;
    why::serve(&parts, &deciding.time, &service).await?;
    send::serve(&parts, &deciding, &service).await?;
    let process = Process::new("notifier", None, Clock::system());
    process.serve(&parts.host, tasks).await?;
    client.flush().await?;
    health.set(STARTING, Ok(()));
    tracing::info!("the notifier is ready");
    Ok(())
}

/// What both halves start from; cheap to clone.
#[derive(Clone)]
struct Parts {
    args: Args,
    /// For questions and answers; whoever reads or writes in bulk opens a connection of its own.
    client: Client,
    shards: Shards,
    tasks: Tasks,
    health: Health,
    metrics: Metrics,
    lag: Lag,
    host: Host,
}

/// A connection, and how often it has broken so far.
struct Connected {
    client: Client,
    broken: watch::Receiver<u64>,
}

/// A connection that tells of its state.
async fn connect(args: &Args, name: &str, health: &Health) -> anyhow::Result<Connected> {
    let (check, health) = (name.to_owned(), health.clone());
    let (breaks, broken) = watch::channel(0);
    let client = cluster::connect(args.nats.login(User::Notifier), name, move |event| match event {
        Event::Connected => health.set(check.as_str(), Ok(())),
        Event::Disconnected => {
            health.set(check.as_str(), Err("not connected to NATS".into()));
            breaks.send_modify(|count| *count += 1);
        }
        _ => {}
    })
    .await?;
    Ok(Connected { client, broken })
}
