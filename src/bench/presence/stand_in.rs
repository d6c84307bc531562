//! Edges that are none: they hold leases and write sessions as edges do, without sockets, so that
//! what is measured is presence.

use std::time::Duration;

use async_nats::jetstream::{self, context::ContextBuilder, message::PublishMessage};
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_nats::{
    DeviceId, EdgeId, UserId, cluster,
    limits::{LEASE_INTERVAL_MS, LEASE_TTL_MS},
    marker,
    subjects::kv,
    topology::{Bucket, MARKERS_KEPT},
    wire::{DeviceSession, Lease},
};
use natterjack_runtime::clock::Clock;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

/// A user on a device.
#[derive(Debug, Clone, Copy)]
pub struct Seat {
    pub user: UserId,
    pub device: DeviceId,
}

impl Seat {
    /// So many users whom nobody has seen before.
    pub fn fresh(count: usize) -> Vec<Self> {
        let now_ms = Clock::system().now_ms();
        let fresh = |_| Self {
            user: UserId::generate(now_ms),
            device: DeviceId::generate(now_ms),
        };
        (0..count).map(fresh).collect()
    }
}

/// The edges; their leases expire when this is dropped.
#[derive(Debug)]
pub struct StandIns {
    context: jetstream::Context,
    clock: Clock,
    edges: Vec<(EdgeId, u64)>,
    leases: JoinHandle<()>,
}

impl StandIns {
    /// So many of them, with leases that are kept.
    ///
    /// # Errors
    /// NATS does not answer.
    pub async fn start(nats_url: &str, count: usize) -> anyhow::Result<Self> {
        let client = cluster::connect(nats_url, "natterjack bench edges", |_| {}).await?;
        let context = ContextBuilder::new().max_ack_inflight(65_536).build(client);
        let clock = Clock::system();
        let now_ms = clock.now_ms();
        let edges: Vec<_> = (0..count).map(|_| (EdgeId::generate(now_ms), now_ms)).collect();
        for (edge, epoch) in &edges {
            write_lease(&context, *edge, *epoch).await?;
        }
        let leases = tokio::spawn(keep(context.clone(), edges.clone()));
        Ok(Self {
            context,
            clock,
            edges,
            leases,
        })
    }

    /// Lets all of them have a device that is known, as after a login: presence notes there when it was
    /// seen last.
    ///
    /// # Errors
    /// JetStream refuses.
    pub async fn enrol(&self, seats: &[Seat], in_flight: usize) -> anyhow::Result<()> {
        let now_ms = self.clock.now_ms();
        // As long as what the accounts service keeps.
        let record = json!({
            "name": "bench", "platform": "bench", "created_at": now_ms, "refreshed_at": now_ms,
            "refresh_hash": "0".repeat(43),
        });
        let record = serde_json::to_vec(&record)?;
        let writes = stream::iter(seats.iter().copied()).map(|Seat { user, device }| {
            let subject = kv::subject(Bucket::Devices, &kv::device(user, device));
            self.write(subject, PublishMessage::build().payload(record.clone().into()))
        });
        writes.buffer_unordered(in_flight).try_collect().await
    }

    /// Connects all of them, so many writes at a time; returns when they are on disk.
    ///
    /// # Errors
    /// JetStream refuses.
    pub async fn come(&self, seats: &[Seat], active: bool, in_flight: usize) -> anyhow::Result<()> {
        let writes = stream::iter(seats.iter().copied()).map(|seat| self.put(seat, active));
        writes.buffer_unordered(in_flight).try_collect().await
    }

    /// Disconnects all of them, likewise.
    ///
    /// # Errors
    /// JetStream refuses.
    pub async fn go(&self, seats: &[Seat], in_flight: usize) -> anyhow::Result<()> {
        let writes = stream::iter(seats.iter().copied()).map(|seat| self.purge(seat));
        writes.buffer_unordered(in_flight).try_collect().await
    }

    /// A device is connected.
    ///
    /// # Errors
    /// JetStream refuses.
    pub async fn put(&self, seat: Seat, active: bool) -> anyhow::Result<()> {
        let (subject, epoch) = self.place(seat);
        let session = DeviceSession {
            epoch,
            active,
            since: self.clock.now_ms(),
        };
        self.write(
            subject,
            PublishMessage::build().payload(serde_json::to_vec(&session)?.into()),
        )
        .await
    }

    async fn purge(&self, seat: Seat) -> anyhow::Result<()> {
        let (subject, _) = self.place(seat);
        self.write(subject, marker::ended(MARKERS_KEPT)).await
    }

    async fn write(&self, subject: String, message: PublishMessage) -> anyhow::Result<()> {
        self.context.send_publish(subject, message).await?.await?;
        Ok(())
    }

    /// Where the session of a seat is written, and in which epoch.
    fn place(&self, Seat { user, device }: Seat) -> (String, u64) {
        let spread = user.as_uuid().as_u128() % self.edges.len() as u128;
        let (edge, epoch) = self.edges[usize::try_from(spread).unwrap_or_default()];
        (
            kv::subject(Bucket::Sessions, &kv::session(edge, user, device)),
            epoch,
        )
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        self.leases.abort();
    }
}

async fn keep(context: jetstream::Context, edges: Vec<(EdgeId, u64)>) {
    let mut due = interval(Duration::from_millis(LEASE_INTERVAL_MS));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        for (edge, epoch) in &edges {
            // The next one is soon.
            if let Err(error) = write_lease(&context, *edge, *epoch).await {
                tracing::warn!(%error, "a lease of the benchmark was not written");
            }
        }
    }
}

async fn write_lease(context: &jetstream::Context, edge: EdgeId, epoch: u64) -> anyhow::Result<()> {
    let lease = Lease {
        instance: Uuid::new_v4(),
        epoch,
        region: "bench".into(),
        url: "http://127.0.0.1:1".into(),
        connections: 0,
        connections_max: 1,
        version: "bench".into(),
        // Nobody is to be sent to it.
        draining: true,
        started_at: epoch,
    };
    let message = PublishMessage::build()
        .payload(serde_json::to_vec(&lease)?.into())
        .ttl(Duration::from_millis(LEASE_TTL_MS));
    let subject = kv::subject(Bucket::Edges, &edge.to_string());
    context.send_publish(subject, message).await?.await?;
    Ok(())
}
