//! Doubt in the live tail: NATS was away, or cut us off because we were slow. Memberships are then
//! loaded again and heads compared for everybody who is connected here, a few users at a time.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use natterjack_nats::services::conversations::OpenSession;
use natterjack_runtime::lifecycle::Tasks;
use tokio::{sync::watch, time::sleep};

use super::{feed::UserFeed, hub::Hub};

/// Users that are checked at a time: all edges do this at once when NATS comes back.
const USERS_AT_A_TIME: usize = 8;
/// How long the round trip that proves the subscriptions may take.
const BARRIER: Duration = Duration::from_secs(30);
/// Pause before those who could not be checked are tried again, doubled up to the second one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How often there was reason for doubt; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Doubt(Arc<watch::Sender<u64>>);

impl Doubt {
    /// No doubt yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// The connection broke and is there again: something may be missing.
    pub(super) fn raise(&self) {
        self.0.send_modify(|reasons| *reasons += 1);
    }
}

pub(super) fn start(hub: Hub, doubt: Doubt, tasks: &Tasks) {
    let mut reasons = doubt.0.subscribe();
    tasks.spawn("live.doubt", async move {
        let settle = async {
            while reasons.changed().await.is_ok() {
                let known = *reasons.borrow_and_update();
                settle(&hub, known, &reasons).await;
            }
        };
        tokio::select! {
            () = settle => {}
            // Not when the drain begins: until their sockets close, sessions hear what they should.
            () = hub.closed() => {}
        }
        // Kept to the end: without a sender, nobody could tell of doubt.
        drop(doubt);
        Ok(())
    });
}

/// Checks everybody, until all are checked or there is more doubt than `known`.
async fn settle(hub: &Hub, known: u64, reasons: &watch::Receiver<u64>) {
    let mut due = hub.feeds();
    tracing::info!(users = due.len(), "the live tail may have a hole; checking");
    let mut pause = PAUSE.0;
    if !hub.inner.reader.round_trip(BARRIER).await {
        tracing::warn!("NATS does not answer on the live connection; checking all the same");
    }
    loop {
        due = stream::iter(due)
            .map(|feed| async move { (!check(hub, &feed).await).then_some(feed) })
            .buffer_unordered(USERS_AT_A_TIME)
            .filter_map(|failed| async { failed })
            .collect()
            .await;
        if due.is_empty() {
            return;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = new_doubt(reasons, known) => return,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Resolves once there is more doubt than `known`, and leaves it to be seen by the caller.
async fn new_doubt(reasons: &watch::Receiver<u64>, known: u64) {
    let mut later = reasons.clone();
    if later.wait_for(|now| *now != known).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn check(hub: &Hub, feed: &Arc<UserFeed>) -> bool {
    if feed.sessions() == 0 {
        return true;
    }
    let request = OpenSession {
        user: feed.user,
        resume: None,
    };
    let mut done = true;
    if let Err(error) = hub.load(feed, request).await {
        tracing::debug!(user = %feed.user, %error, "memberships could not be loaded yet");
        done = !error.retryable;
    }
    // The streams answer whether or not the services do.
    hub.compare(feed).await.is_ok() && done
}
