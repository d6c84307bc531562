//! The lease of this edge, in the bucket `edges`: it lives for as long as the lease is rewritten. A
//! process that is killed, cut off or stopped cannot rewrite it, and a moment later its users count
//! as gone.
//!
//! Each write is a compare-and-set on the one before. So whoever was away for longer than the lease
//! lasts learns it from the refusal: either nobody took the id, and the edge takes it anew, in a new
//! epoch in which all sessions are written again; or somebody did, and this process ends.

mod keeper;
mod store;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use async_nats::Client;
use keeper::Keeper;
use natterjack_nats::{EdgeId, limits::LEASE_TTL_MS, wire};
use natterjack_runtime::{clock::Clock, health::Health, lifecycle::Tasks};
use store::{Held, LeaseStore, StoreError};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{PlaceArgs, drain::Drain, sessions::Sessions};
use crate::connections::Reconnects;

/// How often a lease that somebody holds is looked at, at the start.
const LOOK: Duration = Duration::from_millis(200);
/// After this time without being rewritten a lease is nobody's, even if it did not expire.
const STALE: Duration = Duration::from_millis(LEASE_TTL_MS + 2_000);

/// The lease that this edge holds.
#[derive(Debug)]
pub struct Lease {
    store: LeaseStore,
    facts: Facts,
    revision: u64,
    epoch: u64,
    epochs: watch::Sender<u64>,
}

/// What the lease says and does not change, and where the rest of it is read.
#[derive(Debug)]
pub(crate) struct Facts {
    pub edge: EdgeId,
    pub instance: Uuid,
    pub region: String,
    pub url: String,
    pub started_at: u64,
    pub connections_max: u32,
    /// One permit for each connection that may be open.
    pub slots: Arc<Semaphore>,
    pub clock: Clock,
}

/// What keeps a lease besides itself.
pub(crate) struct Parts<'a> {
    pub sessions: Sessions,
    pub drain: Drain,
    pub reconnects: &'a Reconnects,
    pub health: &'a Health,
    pub tasks: &'a Tasks,
}

/// Gives the lease up; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Leave {
    asked: CancellationToken,
    done: CancellationToken,
}

impl Leave {
    /// Resolves once the lease is given up, or cannot be.
    pub async fn leave(&self) {
        self.asked.cancel();
        self.done.cancelled().await;
    }
}

impl Facts {
    pub fn new(
        edge: EdgeId,
        args: &PlaceArgs,
        url: String,
        slots: (Arc<Semaphore>, u32),
        clock: Clock,
    ) -> Self {
        let (slots, connections_max) = slots;
        Self {
            edge,
            instance: Uuid::new_v4(),
            region: args.region.clone(),
            url,
            started_at: clock.now_ms(),
            connections_max,
            slots,
            clock,
        }
    }

    fn lease(&self, epoch: u64, draining: bool) -> wire::Lease {
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        wire::Lease {
            instance: self.instance,
            epoch,
            region: self.region.clone(),
            url: self.url.clone(),
            connections: self.connections_max.saturating_sub(free),
            connections_max: self.connections_max,
            version: concat!("natterjack ", env!("CARGO_PKG_VERSION")).into(),
            draining,
            started_at: self.started_at,
        }
    }

    /// When a holding begins now: later than `last`, whatever the clock says.
    fn epoch_after(&self, last: u64) -> u64 {
        self.clock.now_ms().max(last + 1)
    }
}

impl Lease {
    /// Takes the lease. If an earlier process of the same id died without giving it up, this waits
    /// until it has expired.
    ///
    /// # Errors
    /// An edge of the same id runs, or NATS is away.
    pub(crate) async fn take(client: Client, facts: Facts) -> anyhow::Result<Self> {
        let store = LeaseStore::open(client, facts.edge).await?;
        let mut waits_for: Option<(u64, Instant)> = None;
        loop {
            let (revision, before) = match store
                .read()
                .await
                .context("the lease of this edge cannot be read")?
            {
                Held::Free { revision } => (revision, None),
                Held::By { revision, lease } => match waits_for {
                    Some((seen, _)) if seen != revision => bail!(refusal(facts.edge, lease.as_deref())),
                    Some((_, since)) if since.elapsed() > STALE => (revision, lease),
                    Some(_) => {
                        sleep(LOOK).await;
                        continue;
                    }
                    None => {
                        tracing::info!(edge.id = %facts.edge, "an edge of this id ran a moment ago; waiting to see that it is gone");
                        waits_for = Some((revision, Instant::now()));
                        continue;
                    }
                },
            };
            let epoch = facts.epoch_after(before.map_or(0, |lease| lease.epoch));
            // It is named to clients only once it serves.
            match store.write(&facts.lease(epoch, true), revision).await {
                Ok(revision) => {
                    return Ok(Self {
                        store,
                        facts,
                        revision,
                        epoch,
                        epochs: watch::Sender::new(epoch),
                    });
                }
                // Two started at the same moment: the other one has it, or the outcome is to be seen.
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Away(_)) => {
                    return Err(anyhow::Error::new(error).context("the lease of this edge cannot be written"));
                }
            }
        }
    }

    /// The epoch of the present holding, and of those that follow.
    pub(crate) fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.subscribe()
    }

    /// Keeps it in a task, which fails if another process takes it.
    pub(crate) fn keep(self, parts: Parts<'_>) -> Leave {
        let leave = Leave::default();
        let tasks = parts.tasks.clone();
        let (keeper, ended) = (Keeper::new(self, parts, leave.asked.clone()), leave.done.clone());
        tasks.spawn("lease", async move {
            // However it ends.
            let _ended = ended.drop_guard();
            keeper.run().await
        });
        leave
    }
}

fn refusal(edge: EdgeId, other: Option<&wire::Lease>) -> String {
    let other = other.map_or_else(String::new, |lease| {
        format!(", at {} in the region {}", lease.url, lease.region)
    });
    format!(
        "another edge runs with the id {edge}{other}: stop it, or give this one an id of its own with --edge-id or \
         EDGE_ID (without one, each start makes a fresh one)"
    )
}
