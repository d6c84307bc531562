//! An edge, as far as presence sees it: a lease that is rewritten, and sessions under it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::jetstream::{Context, message::PublishMessage};
use natterjack_nats::{
    DeviceId, EdgeId, UserId,
    limits::LEASE_TTL_MS,
    marker,
    subjects::kv as keys,
    topology::{Bucket, MARKERS_KEPT},
    wire::{DeviceSession, Lease},
};
use tokio::task::JoinHandle;

use crate::World;

const REWRITTEN_EVERY: Duration = Duration::from_millis(500);
/// Epochs are times; those of these edges begin here.
pub const EPOCH: u64 = 1_700_000_000_000;

pub struct Edge {
    pub id: EdgeId,
    pub epoch: u64,
    context: Context,
    started_at: u64,
    lease: Option<Keeper>,
}

struct Keeper {
    task: JoinHandle<()>,
    written: Arc<Mutex<Instant>>,
}

impl Edge {
    /// With a lease.
    pub async fn start(world: &World, number: u128) -> anyhow::Result<Self> {
        let mut edge = Self::without_lease(world, number);
        edge.lease().await?;
        Ok(edge)
    }

    pub fn without_lease(world: &World, number: u128) -> Self {
        Self {
            id: EdgeId::from_parts(EPOCH, number),
            epoch: EPOCH,
            context: world.jetstream.clone(),
            started_at: EPOCH,
            lease: None,
        }
    }

    /// The next process with this id.
    pub fn restarted(&self) -> Self {
        Self {
            id: self.id,
            epoch: self.epoch + 1_000_000,
            context: self.context.clone(),
            started_at: self.epoch + 1_000_000,
            lease: None,
        }
    }

    /// Takes the lease and keeps it.
    pub async fn lease(&mut self) -> anyhow::Result<()> {
        write_lease(&self.context, self.id, self.started_at, self.epoch).await?;
        let written = Arc::new(Mutex::new(Instant::now()));
        let (context, id, started_at, epoch) = (self.context.clone(), self.id, self.started_at, self.epoch);
        let at = Arc::clone(&written);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(REWRITTEN_EVERY).await;
                // What fails is tried again.
                if write_lease(&context, id, started_at, epoch).await.is_ok() {
                    *at.lock().unwrap() = Instant::now();
                }
            }
        });
        self.lease = Some(Keeper { task, written });
        Ok(())
    }

    /// Takes the lease in a new epoch, after it was lost.
    pub async fn lease_anew(&mut self) -> anyhow::Result<()> {
        self.die();
        self.epoch += 1;
        self.lease().await
    }

    /// From now on the lease is not rewritten; answers when it was last.
    pub fn die(&mut self) -> Instant {
        let keeper = self.lease.take();
        keeper.map_or_else(Instant::now, |keeper| {
            keeper.task.abort();
            *keeper.written.lock().unwrap()
        })
    }

    /// Gives the lease up.
    pub async fn leave(&mut self) -> anyhow::Result<()> {
        self.die();
        let marker = marker::ended(MARKERS_KEPT);
        self.put(Bucket::Edges, &self.id.to_string(), marker).await
    }

    /// A device connects, or comes to the foreground or goes to the background.
    pub async fn connect(&self, user: UserId, device: DeviceId, active: bool) -> anyhow::Result<()> {
        let session = DeviceSession {
            epoch: self.epoch,
            active,
            since: EPOCH,
        };
        let message = PublishMessage::build().payload(serde_json::to_vec(&session)?.into());
        self.put(Bucket::Sessions, &keys::session(self.id, user, device), message)
            .await
    }

    pub async fn disconnect(&self, user: UserId, device: DeviceId) -> anyhow::Result<()> {
        let marker = marker::ended(MARKERS_KEPT);
        self.put(Bucket::Sessions, &keys::session(self.id, user, device), marker)
            .await
    }

    async fn put(&self, bucket: Bucket, key: &str, message: PublishMessage) -> anyhow::Result<()> {
        let subject = keys::subject(bucket, key);
        self.context.send_publish(subject, message).await?.await?;
        Ok(())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.die();
    }
}

async fn write_lease(context: &Context, id: EdgeId, started_at: u64, epoch: u64) -> anyhow::Result<()> {
    let lease = Lease {
        instance: uuid::Uuid::from_u64_pair(started_at, 0),
        epoch,
        region: "default".into(),
        url: "http://127.0.0.1:1".into(),
        connections: 0,
        connections_max: 10,
        version: "test".into(),
        draining: false,
        started_at,
    };
    let message = PublishMessage::build()
        .payload(serde_json::to_vec(&lease)?.into())
        .ttl(Duration::from_millis(LEASE_TTL_MS));
    let subject = keys::subject(Bucket::Edges, &id.to_string());
    context.send_publish(subject, message).await?.await?;
    Ok(())
}
