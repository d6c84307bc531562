//! The task that brings the bucket in line with who is connected: many writes at a time, but of one
//! key one after the other, and until each has succeeded.

use std::{collections::VecDeque, time::Duration};

use async_nats::jetstream::context::PublishError;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Sessions,
    book::{Change, Key},
    bucket::SessionBucket,
};
use crate::{
    metrics::{Count, EdgeMetrics},
    presence::drain::{Drain, Standing},
};

/// Writes under way: what one stream syncs in less than a tenth of a second.
const WRITES_MAX: usize = 256;
/// Shortest time between two writes of one device: an app that jumps between foreground and
/// background costs no more than this.
const REST: Duration = Duration::from_millis(500);
/// First and longest pause after a write that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

type Written = (Key, Change, Result<(), PublishError>);

pub(super) struct Writer {
    sessions: Sessions,
    bucket: SessionBucket,
    drain: Drain,
    metrics: EdgeMetrics,
    writes: FuturesUnordered<BoxFuture<'static, Written>>,
    /// Keys that were written a moment ago, in that order.
    rests: VecDeque<(Instant, Key)>,
    pause: Duration,
    paused_until: Option<Instant>,
}

impl Writer {
    pub fn new(sessions: Sessions, bucket: SessionBucket, drain: Drain, metrics: EdgeMetrics) -> Self {
        Self {
            sessions,
            bucket,
            drain,
            metrics,
            writes: FuturesUnordered::new(),
            rests: VecDeque::new(),
            pause: PAUSE.0,
            paused_until: None,
        }
    }

    pub async fn run(mut self) {
        let sessions = self.sessions.clone();
        loop {
            self.begin();
            let (paused_until, rests_until) = (self.paused_until, self.rests.front().map(|(at, _)| *at));
            tokio::select! {
                () = sessions.0.changed.notified(), if paused_until.is_none() => {}
                Some((key, change, outcome)) = self.writes.next() => self.wrote(key, change, outcome),
                () = at(paused_until), if paused_until.is_some() => self.paused_until = None,
                () = at(rests_until), if rests_until.is_some() => self.rested(),
            }
        }
    }

    /// Hands over as many writes as may be under way.
    fn begin(&mut self) {
        while self.paused_until.is_none() && self.writes.len() < WRITES_MAX {
            if !self.bucket.is_there() || !self.sessions.is_held() {
                self.paused_until = Some(Instant::now() + PAUSE.0);
                return;
            }
            let Some((key, change)) = self.sessions.book().next() else {
                if self.sessions.is_empty() {
                    self.sessions.0.emptied.notify_waiters();
                }
                return;
            };
            let bucket = self.bucket.clone();
            self.writes.push(Box::pin(async move {
                let outcome = bucket.write(key, change).await;
                (key, change, outcome)
            }));
        }
    }

    fn wrote(&mut self, key: Key, change: Change, outcome: Result<(), PublishError>) {
        self.sessions.book().wrote(key, change, outcome.is_ok());
        match outcome {
            Ok(()) => {
                self.metrics.session_writes.count(match change {
                    Change::Put(_) => "put",
                    Change::Purge => "purge",
                });
                self.pause = PAUSE.0;
                if self.drain.asked() == Standing::Serving {
                    self.rests.push_back((Instant::now() + REST, key));
                } else {
                    // Nobody comes any more, and the last of a key is waited for.
                    self.sessions.book().rested(key);
                }
            }
            Err(error) => {
                self.metrics.session_writes.count("failed");
                // Of all that fail together, one makes the pause.
                if self.paused_until.is_none() {
                    tracing::warn!(%error, "device sessions cannot be written for now; they are tried again");
                    self.paused_until = Some(Instant::now() + self.pause);
                    self.pause = (self.pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    fn rested(&mut self) {
        let (now, mut book) = (Instant::now(), self.sessions.book());
        while self.rests.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.rests.pop_front() {
                book.rested(key);
            }
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => sleep(Duration::MAX).await,
    }
}
