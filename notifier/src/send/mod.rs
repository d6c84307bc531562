//! Pushing: follows the bucket `pushes` and hands its entries to push services, until each is taken, not
//! needed any more, or given up.
//!
//! | file | what it does |
//! |---|---|
//! | `source` | fetches, no more than there is room for |
//! | `board` | which push goes out now, and which waits for which |
//! | `pusher` | one push, from its delivery to its end |
//! | `verdict` | what becomes of a push: pure |
//! | `origins` | whom a push may be sent to now: pure |
//! | `backoff` | when it is tried again: pure |
//! | `dead` | what was given up is listed and replayed |
//!
//! A push that waits for long waits in its consumer: nothing here grows with what is put off.

mod answers;
mod backoff;
mod board;
mod dead;
mod job;
mod metrics;
mod origins;
mod pusher;
mod seldom;
mod source;
mod store;
mod taken;
mod verdict;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::jetstream;
use bytes::Bytes;
use natterjack_nats::{
    subjects::kv,
    topology::Bucket,
    wire::{Channel, VapidKey},
};
use natterjack_runtime::{
    clock::Clock,
    outbound::{Outbound, Reach},
    trace::Tracer,
};
use natterjack_service::Hosted;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    Connected, Parts, connect, decide::Deciding, fcm::Fcm, push::PushService, trace::Trace, webpush::WebPush,
};
use board::Board;
use metrics::SendMetrics;
use pusher::Pusher;
pub use seldom::Seldom;
use seldom::SeldomEach;
use source::Source;
use store::Store;

/// Pushes that are held in memory for each that may be under way: those that wait for others.
const HELD_PER_PLACE: usize = 4;
/// Batches between the one who fetches and the one who pushes.
const BATCHES_MAX: usize = 4;

/// Starts to push by all kinds of push services that are set up.
///
/// # Errors
/// NATS is away, the cluster is not provisioned, or the credentials of a push service are unusable.
pub async fn start(parts: &Parts, deciding: &Deciding) -> anyhow::Result<()> {
    let metrics = SendMetrics::new(&parts.metrics);
    let reach = if parts.args.push_anywhere {
        Reach::Anywhere
    } else {
        Reach::Public
    };
    let outbound = Outbound::new(reach).context("an HTTP client for push services")?;
    let key = vapid_key(parts).await?;
    let webpush = WebPush::new(&key, &parts.args.contact, outbound, Clock::system())?;
    start_one(parts, deciding, &metrics, webpush).await?;
    if let Some(fcm) = Fcm::open(&parts.args, Clock::system())? {
        announce(parts, fcm.project()).await?;
        start_one(parts, deciding, &metrics, fcm).await?;
    } else if let Some(project) = announced(parts).await? {
        // Pushes for phones are decided on all the same, and wait for somebody who sends them.
        metrics.of(Channel::Fcm).misconfigured(true);
        tracing::error!(
            fcm.project = %String::from_utf8_lossy(&project),
            "devices register for FCM with this project, and this notifier has no credentials for it: set \
             --fcm-credentials (NATTERJACK_FCM_CREDENTIALS) and restart; or, to go on without FCM, remove the key \
             with `nats kv del cluster fcm`"
        );
    }
    Ok(())
}

/// Adds what an operator may ask about pushes that were given up.
///
/// # Errors
/// NATS is away, or the cluster is not provisioned.
pub async fn serve(parts: &Parts, deciding: &Deciding, service: &Hosted) -> anyhow::Result<()> {
    let store = Store::open(parts.client.clone()).await?;
    dead::serve(service, store, deciding.time.clone()).await
}

/// Starts to push by one kind of push service.
async fn start_one<S: PushService>(
    parts: &Parts,
    deciding: &Deciding,
    metrics: &SendMetrics,
    service: S,
) -> anyhow::Result<()> {
    let channel = service.channel();
    let name = format!("natterjack-notifier-{channel}");
    let Connected { client, broken } = connect(&parts.args, &name, &parts.health).await?;
    let store = Store::open(client).await?;
    let in_flight_max = usize::from(parts.args.in_flight_max);
    let metrics = metrics.of(channel);
    let source = Source {
        client: store.client().clone(),
        context: store.context().clone(),
        channel,
        room: Arc::new(Semaphore::new(in_flight_max * HELD_PER_PLACE)),
        shutdown: parts.tasks.shutdown().clone(),
        broken,
        health: parts.health.clone(),
        lag: parts.lag.clone(),
        full: Seldom::default(),
    };
    let pusher = Pusher {
        service,
        outcomes: deciding.outcomes.clone(),
        trace: Trace::new(store.client().clone()),
        time: deciding.time.clone(),
        store,
        ttl: Duration::from_secs(parts.args.ttl_hours * 3_600),
        metrics,
        tracer: Tracer::installed(),
        taken: std::sync::Mutex::default(),
        misconfigured: SeldomEach::default(),
        given_up: Seldom::default(),
    };
    let board = Board::new(Arc::new(pusher), in_flight_max);
    let (sender, fetched) = mpsc::channel(BATCHES_MAX);
    let shutdown = parts.tasks.shutdown().clone();
    until_killed(parts, format!("pushes by {channel}"), source.run(sender));
    until_killed(parts, format!("push by {channel}"), board.run(fetched, shutdown));
    Ok(())
}

/// The key that provisioning has made.
async fn vapid_key(parts: &Parts) -> anyhow::Result<VapidKey> {
    let context = jetstream::new(parts.client.clone());
    let bucket = context.get_key_value(Bucket::PushKeys.name()).await?;
    let stored = bucket.get(kv::push_keys::VAPID).await?;
    let stored = stored.context("there is no key for Web Push: run `natterjack provision`")?;
    serde_json::from_slice(&stored).context("the key for Web Push in the bucket push_keys is damaged")
}

/// The project that everybody is told of.
async fn announced(parts: &Parts) -> anyhow::Result<Option<Bytes>> {
    let context = jetstream::new(parts.client.clone());
    let bucket = context.get_key_value(Bucket::Cluster.name()).await?;
    Ok(bucket.get(kv::cluster::FCM).await?)
}

/// Tells everybody that there is FCM here, and of which project.
async fn announce(parts: &Parts, project: &str) -> anyhow::Result<()> {
    let known = announced(parts).await?;
    if known.as_deref() != Some(project.as_bytes()) {
        if let Some(other) = known {
            tracing::warn!(
                fcm.project = project,
                fcm.before = %String::from_utf8_lossy(&other),
                "another Firebase project than before: apps have to be built for it, and register anew"
            );
        }
        let context = jetstream::new(parts.client.clone());
        let bucket = context.get_key_value(Bucket::Cluster.name()).await?;
        bucket.put(kv::cluster::FCM, project.to_owned().into()).await?;
    }
    Ok(())
}

/// Runs something that ends by itself after the drain began, no longer than until nobody waits any more.
fn until_killed(parts: &Parts, name: String, work: impl Future<Output = ()> + Send + 'static) {
    let shutdown = parts.tasks.shutdown().clone();
    parts.tasks.spawn(name, async move {
        tokio::select! {
            () = work => {}
            () = shutdown.killed() => {}
        }
        Ok(())
    });
}
