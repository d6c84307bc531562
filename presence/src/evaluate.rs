//! A look at a user: reads what is stored, decides, and writes by compare-and-set.
//!
//! Two looks at the same user may run at once, in two processes. What keeps the last word with the one
//! that saw the latest sessions:
//!
//! - The record's revision is read before the sessions, so that a write whose sessions are older than
//!   somebody else's write is refused.
//! - A look that finds nothing to write refuses nobody's. So it does not settle an event that is younger
//!   than the grace: that event is looked at again when it is as old.
//! - A look that took so long that such a second look may have come before its write looks again after it.

use std::time::{Duration, Instant};

use natterjack_nats::UserId;
use natterjack_runtime::{lifecycle::Shutdown, server_time::ServerTime};

use crate::{
    decide::{self, Entry, Fate, Moment},
    leases::{Holding, Leases},
    metrics::PresenceMetrics,
    store::{Store, StoreError, Stored},
};

/// How often a look starts over: against others that write the same record, or a replica that is behind.
const TRIES: usize = 16;
const BEHIND_PAUSE: Duration = Duration::from_millis(25);
/// Looks of one process at once.
pub const LOOKS_MAX: usize = 256;

/// What looking takes; cheap to clone.
#[derive(Debug, Clone)]
pub struct Looker {
    /// The buckets.
    pub store: Store,
    /// The edges.
    pub leases: Leases,
    /// The servers' time.
    pub time: ServerTime,
    /// For how long a lower state waits.
    pub grace: Duration,
    /// Counters.
    pub metrics: PresenceMetrics,
    /// The end.
    pub shutdown: Shutdown,
}

/// Why it is looked at a user.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reason<'a> {
    /// The sequence of the latest event in the stream of `sessions`; 0 if there is none.
    pub seq: u64,
    /// When it was stored, Unix milliseconds by the server; 0 if there is none.
    pub event_ms: u64,
    /// An edge of which more is known than its lease.
    pub gone: Option<&'a Gone>,
}

/// An edge whose sessions under some epochs are gone.
#[derive(Debug, Clone)]
pub struct Gone {
    /// What stood in the bucket `edges` after the sessions were listed.
    pub holding: Holding,
    /// Which.
    pub edge: natterjack_nats::EdgeId,
    /// Of which epochs.
    pub epochs: std::collections::BTreeSet<u64>,
}

/// What a look came to.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Whether the record was written.
    pub wrote: bool,
    /// Time will tell more: look again after this.
    pub again: Option<Duration>,
    /// The user's sessions as they were at the last, each with its fate.
    pub sessions: Vec<(Stored, Fate)>,
}

impl Looker {
    /// Looks at a user.
    ///
    /// # Errors
    /// NATS did not answer: nothing is settled.
    pub async fn look(&self, user: UserId, reason: Reason<'_>) -> Result<Look, StoreError> {
        let mut wrote = false;
        for _ in 0..TRIES {
            self.metrics.looks.inc();
            let started = Instant::now();
            let (record, revision) = self.store.record(user).await?;
            let stored = match self.store.sessions_of(user, reason.seq).await {
                Ok(stored) => stored,
                Err(StoreError::Behind) => {
                    tokio::time::sleep(BEHIND_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (mut entries, mut sessions) = (Vec::new(), Vec::new());
            for stored in stored {
                let entry = self.entry(&stored, reason.gone).await?;
                entries.push(entry);
                sessions.push((stored, entry.fate));
            }
            let decision = decide::decide(&record, &entries, self.moment(reason.event_ms));
            let again = decision.again_ms.map(Duration::from_millis);
            let Some(next) = decision.write else {
                return Ok(Look {
                    wrote,
                    again,
                    sessions,
                });
            };
            if !self.store.write(user, &next, revision).await? {
                self.metrics.conflicts.inc();
                continue;
            }
            if record.state != next.state {
                self.metrics.transition(record.state, next.state);
            }
            wrote = true;
            if started.elapsed() < self.grace / 2 {
                return Ok(Look {
                    wrote,
                    again,
                    sessions,
                });
            }
        }
        Err(StoreError::Contended)
    }

    /// The moment in which something is decided.
    #[must_use]
    pub fn moment(&self, event_ms: u64) -> Moment {
        Moment {
            now_ms: self.time.now_ms(),
            event_ms,
            grace_ms: self.grace_ms(),
        }
    }

    /// The grace in milliseconds.
    #[must_use]
    pub fn grace_ms(&self) -> u64 {
        u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long something that was stored then is still within the grace.
    #[must_use]
    pub fn graced_for(&self, stored_ms: u64) -> Duration {
        let age_ms = self.time.now_ms().saturating_sub(stored_ms);
        // Never longer than the grace, whatever the clocks of two servers say.
        Duration::from_millis(self.grace_ms().saturating_sub(age_ms))
    }

    async fn entry(&self, stored: &Stored, gone: Option<&Gone>) -> Result<Entry, StoreError> {
        let (edge, at_ms) = (stored.edge, stored.stored_ms);
        let Some(session) = &stored.session else {
            let fate = Fate::Closed;
            return Ok(Entry { fate, at_ms });
        };
        match gone {
            Some(gone) if gone.edge == edge && gone.epochs.contains(&session.epoch) => {
                Ok(self.leases.judge_by(&gone.holding, edge, session, at_ms))
            }
            _ => self.leases.judge(edge, session, at_ms).await,
        }
    }
}
