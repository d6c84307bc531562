//! Follows the bucket `edges`, and the servers' time with it.

use std::time::Duration;

use natterjack_nats::topology::{Bucket, MARKERS_KEPT};
use natterjack_runtime::health::Health;

use crate::{evaluate::Looker, leases::Holding, store::StoreError};

/// How often it asks.
const EVERY: Duration = Duration::from_millis(500);
const CHECK: &str = "leases";

/// Keeps [`crate::leases::Leases`] and [`natterjack_runtime::server_time::ServerTime`] up to date.
pub struct Follower {
    looker: Looker,
    health: Health,
    /// Where the next page begins.
    from: u64,
}

impl Follower {
    /// Reads all leases.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn start(looker: &Looker, health: &Health) -> Result<Self, StoreError> {
        let mut follower = Self {
            looker: looker.clone(),
            health: health.clone(),
            from: 1,
        };
        follower.read().await?;
        Ok(follower)
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(EVERY).await;
            match self.read().await {
                Ok(()) => {
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
        leases.heard();
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
