//! The task that rewrites the lease, and what follows from a refusal.

use std::time::Duration;

use natterjack_nats::limits::{LEASE_INTERVAL_MS, LEASE_TTL_MS};
use natterjack_runtime::{health::Health, lifecycle::Shutdown};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Lease, Parts, refusal,
    store::{Held, StoreError},
};
use crate::presence::{
    drain::{Drain, Standing},
    sessions::Sessions,
};

/// Pause after a write that failed.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Keeper {
    lease: Lease,
    sessions: Sessions,
    drain: Drain,
    orders: watch::Receiver<Standing>,
    reconnected: watch::Receiver<()>,
    health: Health,
    shutdown: Shutdown,
    leave: CancellationToken,
    written_at: Instant,
}

/// What a try to rewrite came to.
enum Kept {
    Yes,
    /// NATS did not take it.
    No,
}

impl Keeper {
    pub fn new(lease: Lease, parts: Parts<'_>, leave: CancellationToken) -> Self {
        Self {
            lease,
            sessions: parts.sessions,
            orders: parts.drain.orders(),
            drain: parts.drain,
            reconnected: parts.reconnects.subscribe(),
            health: parts.health.clone(),
            shutdown: parts.tasks.shutdown().clone(),
            leave,
            written_at: Instant::now(),
        }
    }

    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut tick = interval(Duration::from_millis(LEASE_INTERVAL_MS));
        // After a pause of the whole process, one is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again: Option<Instant> = None;
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = shutdown.draining(), if self.drain.asked() != Standing::Stopping => {
                    self.drain.ask(Standing::Stopping);
                }
                Ok(()) = self.orders.changed() => {}
                Ok(()) = self.reconnected.changed() => {}
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
                () = self.leave.cancelled() => break,
                () = shutdown.killed() => return Ok(()),
            }
            let standing = *self.orders.borrow_and_update();
            again = match self.rewrite(standing).await? {
                Kept::Yes => None,
                Kept::No => Some(Instant::now() + AGAIN),
            };
            // Whether or not the lease could be written: one try is what sockets wait for.
            self.tell(standing);
        }
        self.give_up().await;
        Ok(())
    }

    fn tell(&self, standing: Standing) {
        if standing != self.drain.told() {
            tracing::info!(?standing, "the edge changes its standing");
            self.health.set(
                "drain",
                match standing {
                    Standing::Serving => Ok(()),
                    _ => Err("it drains: no new connections are taken".into()),
                },
            );
            self.health.set_draining(standing != Standing::Serving);
            self.drain.tell(standing);
        }
    }

    async fn rewrite(&mut self, standing: Standing) -> anyhow::Result<Kept> {
        let (draining, began) = (standing != Standing::Serving, Instant::now());
        let written = match self.write(draining).await {
            Err(StoreError::Conflict) => self.look(draining).await,
            written => written.map(|()| true),
        };
        match written {
            Ok(true) => {
                self.written_at = began;
                self.announce();
                self.health.set("lease", Ok(()));
                Ok(Kept::Yes)
            }
            // It belongs to another process: nothing of what stands under this id is ours.
            Ok(false) => Err(self.ousted().await),
            Err(error) => {
                let age = self.written_at.elapsed();
                tracing::warn!(%error, lease.age_ms = age.as_millis() as u64, "the lease cannot be rewritten for now");
                if age >= Duration::from_millis(LEASE_TTL_MS) {
                    let lost = "it could not be rewritten in time, and those who are connected here count as offline";
                    self.health.set("lease", Err(lost.into()));
                }
                Ok(Kept::No)
            }
        }
    }

    async fn write(&mut self, draining: bool) -> Result<(), StoreError> {
        let Lease {
            store, facts, epoch, ..
        } = &self.lease;
        self.lease.revision = store
            .write(&facts.lease(*epoch, draining), self.lease.revision)
            .await?;
        Ok(())
    }

    /// Something else is stored than this process knows of: `false` if it is another's.
    async fn look(&mut self, draining: bool) -> Result<bool, StoreError> {
        match self.lease.store.read().await? {
            Held::Free { revision } => {
                self.lease.revision = revision;
                self.lease.epoch = self.lease.facts.epoch_after(self.lease.epoch);
                self.write(draining).await?;
                tracing::warn!(
                    lease.epoch = self.lease.epoch,
                    lease.age_ms = self.written_at.elapsed().as_millis() as u64,
                    "the lease had expired and was taken anew; all sessions are written again"
                );
            }
            // A write of our own whose answer was lost.
            Held::By {
                revision,
                lease: Some(lease),
            } if lease.instance == self.lease.facts.instance => {
                (self.lease.revision, self.lease.epoch) = (revision, lease.epoch);
                self.write(draining).await?;
            }
            Held::By { lease, .. } => {
                tracing::error!("{}", refusal(self.lease.facts.edge, lease.as_deref()));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Only now is it held: sessions of an epoch are written after its lease. Said after every write, since
    /// the one that took the lease anew may be a later try than the one that found it gone.
    fn announce(&self) {
        let epoch = self.lease.epoch;
        self.lease.epochs.send_if_modified(|known| {
            let changes = *known != epoch;
            *known = epoch;
            changes
        });
        self.sessions.held_since(self.written_at);
    }

    async fn ousted(&self) -> anyhow::Error {
        self.sessions.end();
        self.health
            .set("lease", Err("another process has taken this edge's id".into()));
        self.drain.ask(Standing::Stopping);
        self.drain.tell(Standing::Stopping);
        anyhow::anyhow!(
            "the lease of the edge {} expired while this process could not rewrite it, and another process has taken \
             it: if both are wanted, give each an id of its own with --edge-id",
            self.lease.facts.edge
        )
    }

    async fn give_up(&self) {
        if let Err(error) = self.lease.store.delete(self.lease.revision).await {
            tracing::debug!(%error, "the lease was not given up; it expires");
        }
    }
}
