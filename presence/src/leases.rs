//! Which edges hold a lease, as far as this process knows, and what that makes of a session.
//!
//! The bucket `edges` is followed by asking for what is newer than the last that was read: a few small
//! messages twice a second, whatever else happens, and nothing to be kept through reconnects. Whatever
//! somebody could be made offline for is asked of the bucket's leader again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use natterjack_nats::{
    EdgeId,
    limits::LEASE_TTL_MS,
    wire::{DeviceSession, Lease},
};
use natterjack_runtime::server_time::ServerTime;

use crate::{
    decide::{Entry, Fate},
    outages::Outages,
    store::{Store, StoreError},
};

/// So long an edge may take to write its sessions again after it took its lease anew, counted from the
/// last of them that was heard.
const REREGISTER: Duration = Duration::from_secs(15);
/// After which age the session of an edge without a lease is nobody's.
pub const ORPHAN_MS: u64 = 10_000;

/// What stands in the bucket `edges` for an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// A lease.
    Held(Lease),
    /// That there was one, until then by the server's clock, Unix milliseconds.
    Gone {
        /// When it was written last if it expired, and when it was deleted otherwise.
        lived_ms: u64,
    },
    /// Nothing.
    Never,
}

/// What was read of an edge.
#[derive(Debug, Clone)]
pub struct Known {
    /// What stands there.
    pub holding: Holding,
    /// Its revision; 0 if nothing stands there.
    pub revision: u64,
    /// When it was stored, by the server's clock, Unix milliseconds.
    pub stored_ms: u64,
}

#[derive(Debug)]
struct Seen {
    known: Known,
    /// Since when we know of its epoch, and when we last heard of a session of it.
    stirred: Instant,
}

/// All edges; cheap to clone.
#[derive(Debug, Clone)]
pub struct Leases {
    store: Store,
    time: ServerTime,
    seen: Arc<Mutex<HashMap<EdgeId, Seen>>>,
    outages: Outages,
}

impl Leases {
    /// None is known yet.
    #[must_use]
    pub fn new(store: Store, time: ServerTime, outages: Outages) -> Self {
        Self {
            store,
            time,
            seen: Arc::default(),
            outages,
        }
    }

    /// For how long nobody is offline for want of a lease, at least.
    #[must_use]
    pub fn settles_in(&self) -> Duration {
        self.outages.settles_in()
    }

    /// The leader of the leases has answered.
    pub fn heard(&self) {
        self.outages.heard();
    }

    /// Takes note of what was read of an edge.
    pub fn note(&self, edge: EdgeId, known: Known) {
        let mut seen = lock(&self.seen);
        let epoch = |known: &Known| match &known.holding {
            Holding::Held(lease) => Some(lease.epoch),
            Holding::Gone { .. } | Holding::Never => None,
        };
        match seen.get_mut(&edge) {
            Some(seen) if seen.known.revision > known.revision => {}
            Some(seen) => {
                if epoch(&seen.known) != epoch(&known) {
                    seen.stirred = Instant::now();
                }
                seen.known = known;
            }
            None => {
                let stirred = Instant::now();
                seen.insert(edge, Seen { known, stirred });
            }
        }
    }

    /// Forgets everything: the bucket was made anew. Also edges that are gone for as long as their
    /// marker is kept.
    pub fn retain(&self, keep: impl Fn(&Known) -> bool) {
        lock(&self.seen).retain(|_, seen| keep(&seen.known));
    }

    /// A session of this epoch was written just now.
    pub fn stir(&self, edge: EdgeId, epoch: u64) {
        if let Some(seen) = lock(&self.seen).get_mut(&edge)
            && matches!(&seen.known.holding, Holding::Held(lease) if lease.epoch == epoch)
        {
            seen.stirred = Instant::now();
        }
    }

    /// Whether the edge may still be writing its sessions again under its present lease.
    #[must_use]
    pub fn reregisters(&self, edge: EdgeId) -> bool {
        lock(&self.seen)
            .get(&edge)
            .is_none_or(|seen| seen.stirred.elapsed() < REREGISTER)
    }

    /// Whether the edge holds a lease, as far as is known here.
    #[must_use]
    pub fn holds(&self, edge: EdgeId) -> bool {
        let seen = lock(&self.seen);
        let known = seen.get(&edge).map(|seen| &seen.known.holding);
        matches!(known, Some(Holding::Held(_)))
    }

    /// Whether anything stands in the bucket for the edge, as far as is known here.
    #[must_use]
    pub fn knows(&self, edge: EdgeId) -> bool {
        let seen = lock(&self.seen);
        seen.get(&edge)
            .is_some_and(|seen| seen.known.holding != Holding::Never)
    }

    /// How many edges live.
    #[must_use]
    pub fn alive(&self) -> usize {
        let now_ms = self.time.now_ms();
        lock(&self.seen)
            .values()
            .filter(|seen| fresh(&seen.known, now_ms).is_some())
            .count()
    }

    /// Whether a session is known to count, without asking anybody.
    #[must_use]
    pub fn lives(&self, edge: EdgeId, session: &DeviceSession) -> bool {
        let now_ms = self.time.now_ms();
        let seen = lock(&self.seen);
        let lease = seen.get(&edge).and_then(|seen| fresh(&seen.known, now_ms));
        lease.is_some_and(|lease| lease.epoch == session.epoch)
    }

    /// What has become of a session that was stored at `stored_ms`; asks the leader unless it lives.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn judge(
        &self,
        edge: EdgeId,
        session: &DeviceSession,
        stored_ms: u64,
    ) -> Result<Entry, StoreError> {
        if self.lives(edge, session) {
            let active = session.active;
            return Ok(Entry {
                fate: Fate::Open { active },
                at_ms: stored_ms,
            });
        }
        let known = self.store.lease(edge).await?;
        let holding = known.holding.clone();
        self.note(edge, known);
        Ok(self.judge_by(&holding, edge, session, stored_ms))
    }

    /// The same by what was read of the edge.
    #[must_use]
    pub fn judge_by(
        &self,
        holding: &Holding,
        edge: EdgeId,
        session: &DeviceSession,
        stored_ms: u64,
    ) -> Entry {
        let waits = Waits {
            settling: !self.settles_in().is_zero(),
            reregisters: self.reregisters(edge),
        };
        judge(holding, session, stored_ms, self.time.now_ms(), waits)
    }
}

/// What may yet come.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// Leases.
    settling: bool,
    /// Sessions under a new epoch.
    reregisters: bool,
}

fn judge(holding: &Holding, session: &DeviceSession, stored_ms: u64, now_ms: u64, waits: Waits) -> Entry {
    let active = session.active;
    let (open, doubtful) = (Fate::Open { active }, Fate::Doubtful { active });
    let young = now_ms.saturating_sub(stored_ms) < ORPHAN_MS;
    let (fate, at_ms) = match holding {
        Holding::Held(lease) if lease.epoch == session.epoch => (open, stored_ms),
        // Written by the process that holds the lease now, under one that it lost: it has stored this
        // device's session anew in a moment, or removes it.
        Holding::Held(lease) if (lease.started_at..lease.epoch).contains(&session.epoch) => {
            let fate = if waits.reregisters { doubtful } else { Fate::Lost };
            (fate, stored_ms)
        }
        // Of a lease that is not to be seen yet.
        Holding::Held(lease) if session.epoch > lease.epoch => {
            (if young { doubtful } else { Fate::Lost }, stored_ms)
        }
        // Of a process before the one that holds the lease now, which had to wait for its end.
        Holding::Held(lease) => {
            let lived_ms = lease.epoch.min(now_ms).saturating_sub(LEASE_TTL_MS);
            (Fate::Lost, lived_ms.max(stored_ms))
        }
        Holding::Gone { .. } if waits.settling => (doubtful, stored_ms),
        Holding::Gone { lived_ms } => (Fate::Lost, (*lived_ms).max(stored_ms)),
        Holding::Never if waits.settling || young => (doubtful, stored_ms),
        Holding::Never => (Fate::Lost, stored_ms),
    };
    Entry { fate, at_ms }
}

/// The lease, if it cannot have expired yet.
fn fresh(known: &Known, now_ms: u64) -> Option<&Lease> {
    match &known.holding {
        Holding::Held(lease) if now_ms.saturating_sub(known.stored_ms) < LEASE_TTL_MS => Some(lease),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use natterjack_nats::wire::Lease;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn lease(started_at: u64, epoch: u64) -> Holding {
        Holding::Held(Lease {
            instance: uuid::Uuid::nil(),
            epoch,
            region: "default".into(),
            url: "http://127.0.0.1".into(),
            connections: 0,
            connections_max: 1,
            version: "test".into(),
            draining: false,
            started_at,
        })
    }

    #[test]
    fn what_becomes_of_a_session() {
        let (open, doubtful) = (Fate::Open { active: true }, Fate::Doubtful { active: true });
        let (gone, never) = (
            Holding::Gone {
                lived_ms: NOW - 6_000,
            },
            Holding::Never,
        );
        let (old, young) = (NOW - 20_000, NOW - 1_000);
        // What stands in the bucket, the session's epoch, when it was stored, whether leases settle,
        // whether sessions are written again → its fate and since when.
        let table = [
            (lease(100, 100), 100, old, false, false, open, old),
            (lease(100, 200), 100, old, false, true, doubtful, old),
            (lease(100, 200), 100, old, false, false, Fate::Lost, old),
            (lease(100, 200), 90, old, false, true, Fate::Lost, old),
            (lease(100, 200), 300, young, false, false, doubtful, young),
            (lease(100, 200), 300, old, false, false, Fate::Lost, old),
            (gone.clone(), 100, old, true, false, doubtful, old),
            (gone.clone(), 100, old, false, true, Fate::Lost, NOW - 6_000),
            (gone, 100, young, false, true, Fate::Lost, young),
            (never.clone(), 100, young, false, false, doubtful, young),
            (never.clone(), 100, old, true, false, doubtful, old),
            (never, 100, old, false, false, Fate::Lost, old),
        ];
        for (row, (holding, epoch, stored_ms, settling, reregisters, fate, at_ms)) in table.iter().enumerate()
        {
            let session = DeviceSession {
                epoch: *epoch,
                active: true,
                since: 0,
            };
            let waits = Waits {
                settling: *settling,
                reregisters: *reregisters,
            };
            let (fate, at_ms) = (*fate, *at_ms);
            let judged = judge(holding, &session, *stored_ms, NOW, waits);
            assert_eq!(judged, Entry { fate, at_ms }, "row {row}");
        }
    }
}
