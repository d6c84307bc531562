//! Doubt in the live tail: NATS was away, or a subscription dropped messages. Memberships are then
//! loaded again and heads compared for everybody who is connected here, a few users at a time.

use std::{sync::Arc, time::Duration};

use async_nats::Event;
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
pub struct Doubt(Arc<watch::Sender<Reasons>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reasons {
    connected: u64,
    dropped: u64,
}

impl Doubt {
    /// No doubt yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Reasons::default())))
    }

    /// Notes an event of the connection that hears the live tail.
    pub fn hear(&self, event: &Event) {
        self.0.send_if_modified(|reasons| {
            match event {
                Event::Connected => reasons.connected += 1,
                Event::SlowConsumer(_) => reasons.dropped += 1,
                _ => return false,
            }
            true
        });
    }
}

impl Default for Doubt {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn start(hub: Hub, doubt: Doubt, tasks: &Tasks) {
    let mut reasons = doubt.0.subscribe();
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("live.doubt", async move {
        let settle = async {
            let mut known = *reasons.borrow_and_update();
            let mut reload = false;
            loop {
                if reasons.changed().await.is_err() {
                    return;
                }
                let now = *reasons.borrow_and_update();
                reload |= now.connected != known.connected;
                known = now;
                if settle(&hub, reload, &reasons).await {
                    reload = false;
                }
            }
        };
        tokio::select! {
            () = settle => {}
            () = shutdown.draining() => {}
        }
        // Kept to the end: without a sender, nobody could tell of doubt.
        drop(doubt);
        Ok(())
    });
}

/// Checks everybody, until all are checked or there is new doubt; whether all were.
async fn settle(hub: &Hub, reload: bool, reasons: &watch::Receiver<Reasons>) -> bool {
    let known = *reasons.borrow();
    let mut due = hub.feeds();
    tracing::info!(
        users = due.len(),
        reload,
        "the live tail may have a hole; checking"
    );
    let mut pause = PAUSE.0;
    if !hub.inner.barrier.pass(BARRIER).await {
        tracing::warn!("NATS does not answer on the live connection; checking all the same");
    }
    loop {
        due = stream::iter(due)
            .map(|feed| async move { (!check(hub, &feed, reload).await).then_some(feed) })
            .buffer_unordered(USERS_AT_A_TIME)
            .filter_map(|failed| async { failed })
            .collect()
            .await;
        if due.is_empty() {
            return true;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = new_doubt(reasons, known) => return false,
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Resolves once there is more doubt than `known`, and leaves it to be seen by the caller.
async fn new_doubt(reasons: &watch::Receiver<Reasons>, known: Reasons) {
    let mut later = reasons.clone();
    if later.wait_for(|now| *now != known).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn check(hub: &Hub, feed: &Arc<UserFeed>, reload: bool) -> bool {
    if feed.sessions() == 0 {
        return true;
    }
    let request = OpenSession {
        user: feed.user,
        resume: None,
    };
    let mut done = true;
    if reload && let Err(error) = hub.load(feed, request).await {
        tracing::debug!(user = %feed.user, %error, "memberships could not be loaded yet");
        done = !error.retryable;
    }
    // The streams answer whether or not the services do.
    hub.compare(feed).await.is_ok() && done
}
