//! Device sessions: who is connected through this edge, in the bucket `sessions`, one entry for each
//! device however many sockets it has.
//!
//! A session says so when it is live and when it ends, in memory; one task brings the bucket in
//! line. A slow or absent NATS never holds up a socket, and twenty thousand clients who come at
//! once wait for no write.

mod book;
mod bucket;
mod compare;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::Client;
use book::{Book, Key};
use bucket::SessionBucket;
use compare::{Causes, Comparer};
use natterjack_nats::{DeviceId, EdgeId, UserId, limits::LEASE_TTL_MS};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use writer::Writer;

use super::drain::Drain;
use crate::{connections::Reconnects, metrics::EdgeMetrics};

/// The devices that are connected to this edge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    book: Mutex<Book>,
    clock: Clock,
    /// There is something to write.
    changed: Notify,
    /// Nothing is left in the bucket.
    emptied: Notify,
    /// The bucket is not ours to write any more, or all is written that will be.
    ended: CancellationToken,
    /// When the last successful write of the lease began.
    held_at: Mutex<Instant>,
}

/// A socket, or a poll that waits: its device is connected as long as this lives.
#[derive(Debug)]
pub struct Present {
    sessions: Sessions,
    key: Key,
    active: bool,
}

/// What the tasks of the sessions need.
pub(crate) struct Ways<'a> {
    /// On which they are written.
    pub client: &'a Client,
    /// When the connection came back.
    pub reconnects: &'a Reconnects,
    /// Of the lease that this edge holds.
    pub epoch: watch::Receiver<u64>,
    pub drain: &'a Drain,
    pub metrics: &'a EdgeMetrics,
    pub tasks: &'a Tasks,
}

impl Sessions {
    /// Nobody is connected; what an earlier process left in the bucket is removed.
    pub(crate) fn start(edge: EdgeId, clock: Clock, ways: Ways<'_>) -> Self {
        let this = Self(Arc::new(Inner {
            book: Mutex::default(),
            clock,
            changed: Notify::new(),
            emptied: Notify::new(),
            ended: CancellationToken::new(),
            held_at: Mutex::new(Instant::now()),
        }));
        // Here, and not in a task: a session that is live is written under an epoch.
        this.book().begin_epoch(*ways.epoch.borrow());
        let bucket = SessionBucket::new(ways.client.clone(), edge);
        let writer = Writer::new(
            this.clone(),
            bucket.clone(),
            ways.drain.clone(),
            ways.metrics.clone(),
        );
        let comparer = Comparer::new(this.clone(), bucket);
        let causes = Causes {
            reconnected: ways.reconnects.subscribe(),
            epoch: ways.epoch,
        };
        this.spawn(ways.tasks, "sessions.write", writer.run());
        this.spawn(ways.tasks, "sessions.compare", comparer.run(causes));
        this
    }

    /// A task that goes on through the drain, until nothing is left to do.
    fn spawn(&self, tasks: &Tasks, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (ended, shutdown) = (self.0.ended.clone(), tasks.shutdown().clone());
        tasks.spawn(name, async move {
            tokio::select! {
                () = work => {}
                () = ended.cancelled() => {}
                () = shutdown.killed() => {}
            }
            // Whoever lost the lease says so himself, and this is not the failure.
            shutdown.draining().await;
            Ok(())
        });
    }

    /// A session is live, or a poll waits.
    #[must_use]
    pub fn enter(&self, user: UserId, device: DeviceId, active: bool) -> Present {
        let key = (user, device);
        let news = self.book().enter(key, active, self.0.clock.now_ms());
        self.wake(news);
        Present {
            sessions: self.clone(),
            key,
            active,
        }
    }

    /// How many devices are connected, or not removed from the bucket yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.book().len()
    }

    /// Whether nobody is connected and nothing is left in the bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.book().is_empty()
    }

    /// Resolves once nobody is connected and nothing is left in the bucket, or nothing is written any
    /// more.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.is_empty() {
                return;
            }
            tokio::select! {
                () = emptied => {}
                () = self.0.ended.cancelled() => return,
            }
        }
    }

    /// Writes nothing any more.
    pub fn end(&self) {
        self.0.ended.cancel();
    }

    /// The lease was written, by a write that began then.
    pub(crate) fn held_since(&self, at: Instant) {
        *self.0.held_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Whether the lease cannot have expired: otherwise another process may have taken the id while this
    /// one was stopped or cut off, and the entries under it are that one's.
    fn is_held(&self) -> bool {
        let held_at = *self.0.held_at.lock().unwrap_or_else(PoisonError::into_inner);
        held_at.elapsed() < Duration::from_millis(LEASE_TTL_MS)
    }

    fn wake(&self, news: bool) {
        if news {
            self.0.changed.notify_one();
        } else if self.is_empty() {
            self.0.emptied.notify_waiters();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    /// The app comes to the foreground on this socket, or leaves it.
    pub fn turn(&mut self, active: bool) {
        if self.active != active {
            self.active = active;
            let news = self.sessions.book().turn(self.key, active);
            self.sessions.wake(news);
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let news = self.sessions.book().leave(self.key, self.active);
        self.sessions.wake(news);
    }
}
