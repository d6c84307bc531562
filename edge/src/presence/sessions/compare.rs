//! The task that compares the bucket with who is connected: at the start, when an earlier process of
//! the same id may have left something; in each new epoch; and after NATS was away, when nobody knows
//! what came of the last writes, or what was taken away meanwhile.

use std::time::Duration;

use natterjack_nats::{direct::DirectError, subjects::kv, topology::Bucket};
use tokio::{sync::watch, time::sleep};

use super::{Sessions, bucket::SessionBucket};

/// Pause after a comparison that failed.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Comparer {
    sessions: Sessions,
    bucket: SessionBucket,
}

/// The reasons to compare.
pub(super) struct Causes {
    /// The connection came back.
    pub reconnected: watch::Receiver<()>,
    /// The lease was taken anew.
    pub epoch: watch::Receiver<u64>,
}

impl Comparer {
    pub const fn new(sessions: Sessions, bucket: SessionBucket) -> Self {
        Self { sessions, bucket }
    }

    pub async fn run(self, mut causes: Causes) {
        loop {
            let compared = tokio::select! {
                compared = self.compare() => compared,
                () = self.cause(&mut causes) => continue,
            };
            match compared {
                Ok(()) => self.cause(&mut causes).await,
                Err(error) => {
                    tracing::warn!(%error, "device sessions cannot be compared for now; it is tried again");
                    tokio::select! {
                        () = sleep(AGAIN) => {}
                        () = self.cause(&mut causes) => {}
                    }
                }
            }
        }
    }

    /// Resolves once there is a reason to compare.
    async fn cause(&self, causes: &mut Causes) {
        tokio::select! {
            Ok(()) = causes.reconnected.changed() => {}
            Ok(()) = causes.epoch.changed() => {
                let epoch = *causes.epoch.borrow_and_update();
                self.sessions.book().begin_epoch(epoch);
                self.sessions.0.changed.notify_one();
            }
            else => std::future::pending().await,
        }
    }

    async fn compare(&self) -> Result<(), DirectError> {
        self.sessions.book().begin_round();
        let mut from = 1;
        loop {
            let page = self.bucket.page(from).await?;
            let mut book = self.sessions.book();
            for stored in &page.messages {
                from = stored.seq + 1;
                let deleted = stored.headers.get("KV-Operation").is_some()
                    || stored.headers.get("Nats-Marker-Reason").is_some();
                let key = kv::key(Bucket::Sessions, &stored.subject).and_then(kv::parse_session);
                if let Some((_, user, device)) = key
                    && !deleted
                {
                    book.found((user, device), serde_json::from_slice(&stored.payload).ok());
                }
            }
            if !page.more || page.messages.is_empty() {
                book.end_round();
                break;
            }
        }
        self.sessions.0.changed.notify_one();
        Ok(())
    }
}
