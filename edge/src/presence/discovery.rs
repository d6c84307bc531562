//! Service discovery: which edges take connections, from the leases in the bucket `edges`.
//!
//! A lease counts for [`LEASE_TTL_MS`](natterjack_nats::limits::LEASE_TTL_MS) from when it was *heard*:
//! no clock of another machine is believed, and a marker that got lost names no dead edge for long.
//! So while NATS is away this edge still names what it heard last, for that long and no longer; then it
//! says that it does not know, instead of naming nobody: nobody is an answer too (all of them drain).

mod known;

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_nats::jetstream::{self, kv};
use known::{Known, Wanted};
use natterjack_nats::{
    EdgeId,
    topology::Bucket,
    wire::{Code, EdgeInfo, Lease, WireError},
};
use natterjack_runtime::lifecycle::Tasks;
use tokio::time::Instant;

use crate::connections::{Follower, Reconnects};

/// The edges that live; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Discovery(Arc<Mutex<Known>>);

impl Discovery {
    /// Follows the leases in a task of `tasks` until `until` resolves: for as long as anybody is connected,
    /// since those who are told to go are told where.
    ///
    /// # Errors
    /// NATS does not answer, or the bucket is not provisioned.
    pub async fn start(
        context: jetstream::Context,
        reconnects: &Reconnects,
        until: impl Future<Output = ()> + Send + 'static,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let (mut follower, _) = Follower::start(context, Bucket::Edges, reconnects).await?;
        let this = Self::default();
        let task = this.clone();
        tasks.spawn("discovery", async move {
            let mut until = pin!(until);
            loop {
                tokio::select! {
                    entry = follower.next() => task.hear(&entry),
                    () = &mut until => return Ok(()),
                }
            }
        });
        Ok(this)
    }

    /// The edges that take connections, the best first, at most
    /// [`EDGES_NAMED_MAX`](natterjack_nats::limits::EDGES_NAMED_MAX): those with room before those
    /// without, then those of `region`, then by load, in random order where the loads are about equal.
    /// `except` is the one to leave.
    ///
    /// # Errors
    /// `unavailable` where no lease was heard for as long as one lasts.
    pub fn ranked(&self, region: Option<&str>, except: Option<EdgeId>) -> Result<Vec<EdgeInfo>, WireError> {
        let wanted = Wanted { region, except };
        let ranked = self.known().ranked(&wanted, Instant::now(), random);
        ranked.ok_or_else(|| {
            WireError::new(
                Code::Unavailable,
                "this edge does not know which edges live; go on with those that you know, or ask again soon",
            )
            .retry_after_ms(1_000)
        })
    }

    fn hear(&self, entry: &kv::Entry) {
        let Ok(edge) = entry.key.parse::<EdgeId>() else {
            return;
        };
        let now = Instant::now();
        if entry.operation != kv::Operation::Put {
            self.known().gone(edge, now);
            return;
        }
        match serde_json::from_slice::<Lease>(&entry.value) {
            Ok(lease) => self.known().hear(edge, lease, entry.revision, now),
            Err(error) => {
                tracing::debug!(edge.id = %edge, %error, "a lease that this edge does not read");
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A random number below a bound.
fn random(below: u64) -> u64 {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    random % below.max(1)
}
