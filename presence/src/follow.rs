//! Follows the bucket `edges`, and notices outages: who cannot ask its leader for a while knows that
//! edges could not write their leases either.

use std::time::{Duration, Instant};

use natterjack_nats::topology::{Bucket, MARKERS_KEPT};
use natterjack_runtime::health::Health;
use tokio::sync::watch;

use crate::{evaluate::Looker, leases::Holding, store::StoreError};

/// How often it asks.
const EVERY: Duration = Duration::from_millis(500);
/// A pause longer than this between two answers is an outage. Two rewrites of a lease may be late, and the
/// next would find it expired.
const OUTAGE: Duration = Duration::from_secs(3);
const CHECK: &str = "leases";

/// Keeps [`crate::leases::Leases`] and [`crate::server_time::ServerTime`] up to date.
pub struct Follower {
    looker: Looker,
    /// Counts how often the connection broke.
    broken: watch::Receiver<u64>,
    health: Health,
    /// Where the next page begins.
    from: u64,
}

impl Follower {
    /// Reads all leases.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn start(
        looker: &Looker,
        broken: watch::Receiver<u64>,
        health: &Health,
    ) -> Result<Self, StoreError> {
        let mut follower = Self {
            looker: looker.clone(),
            broken,
            health: health.clone(),
            from: 1,
        };
        follower.read().await?;
        Ok(follower)
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        let (mut heard, mut failing) = (Instant::now(), false);
        loop {
            tokio::time::sleep(EVERY).await;
            match self.read().await {
                Ok(()) => {
                    let broke = self.broken.has_changed().unwrap_or(false);
                    self.broken.mark_unchanged();
                    if broke || heard.elapsed() > OUTAGE {
                        tracing::info!("NATS was away; nobody is made offline until leases are written anew");
                        self.looker.leases.unsettle();
                    }
                    heard = Instant::now();
                    if std::mem::take(&mut failing) {
                        self.health.set(CHECK, Ok(()));
                    }
                }
                Err(error) => {
                    failing = true;
                    self.health.set(CHECK, Err(error.to_string()));
                }
            }
            let alive = self.looker.leases.alive();
            self.looker
                .metrics
                .edges
                .set(i64::try_from(alive).unwrap_or(i64::MAX));
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let Looker {
            store, leases, time, ..
        } = &self.looker;
        let (now_ms, last_seq) = store.info(Bucket::Edges).await?;
        time.heard(now_ms);
        if last_seq + 1 < self.from {
            // Somebody made the bucket anew.
            leases.retain(|_| false);
            self.from = 1;
        }
        let mut from = (last_seq >= self.from).then_some(self.from);
        while let Some(seq) = from {
            let (page, next) = store.leases_page(seq).await?;
            for (edge, known) in page {
                self.from = self.from.max(known.revision + 1);
                leases.note(edge, known);
            }
            from = next;
        }
        let kept_ms = u64::try_from(MARKERS_KEPT.as_millis()).unwrap_or(u64::MAX);
        let forget = |known: &crate::leases::Known| {
            !matches!(known.holding, Holding::Held(_)) && known.stored_ms + kept_ms < now_ms
        };
        leases.retain(|known| !forget(known));
        Ok(())
    }
}
