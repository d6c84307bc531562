//! Who has become what, as any edge could hear it: what JetStream republishes of presence.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use futures::StreamExt;
use natterjack_nats::{
    UserId, cluster,
    subjects::presence,
    wire::{PresenceRecord, PresenceState},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How long it may take until the last of many has become something.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// Hears all of it until it is dropped.
#[derive(Debug)]
pub struct Heard {
    inner: Arc<Mutex<Inner>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Inner {
    states: HashMap<UserId, PresenceState>,
    first: Option<Instant>,
    last: Option<Instant>,
    changes: u64,
}

/// A stretch of changes.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// When the first of them was heard.
    pub first: Instant,
    /// When the last was.
    pub last: Instant,
    /// How many there were.
    pub changes: u64,
}

impl Stretch {
    /// Changes a second, from the first to the last.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn per_second(&self) -> f64 {
        let seconds = self.last.duration_since(self.first).as_secs_f64();
        self.changes.saturating_sub(1) as f64 / seconds.max(1e-6)
    }
}

impl Heard {
    /// Listens from now on.
    ///
    /// # Errors
    /// NATS does not answer.
    pub async fn start(nats_url: &str) -> anyhow::Result<Self> {
        let client = cluster::connect(nats_url, "natterjack bench listener", |_| {}).await?;
        let mut messages = client.subscribe(presence::ALL).await?;
        client.flush().await?;
        let inner = Arc::new(Mutex::new(Inner::default()));
        let hears = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let user = presence::parse(&message.subject);
                let record: Option<PresenceRecord> = serde_json::from_slice(&message.payload).ok();
                if let (Some(user), Some(record)) = (user, record) {
                    lock(&hears).note(user, record.state);
                }
            }
        });
        Ok(Self { inner, task })
    }

    /// Counts anew from now on.
    pub fn begin(&self) {
        let mut inner = lock(&self.inner);
        (inner.first, inner.last, inner.changes) = (None, None, 0);
    }

    /// Waits until all these users are in that state; the stretch of changes since
    /// [`Heard::begin`].
    ///
    /// # Errors
    /// They do not get there.
    pub async fn until(
        &self,
        users: impl Iterator<Item = UserId> + Clone,
        state: PresenceState,
    ) -> anyhow::Result<Stretch> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = {
                let inner = lock(&self.inner);
                let is = |user: &UserId| inner.states.get(user).copied().unwrap_or_default() == state;
                users.clone().find(|user| !is(user))
            };
            let Some(missing) = missing else { break };
            anyhow::ensure!(
                Instant::now() < deadline,
                "{missing} is not {state:?} after {PATIENCE:?}"
            );
            sleep(POLL).await;
        }
        let inner = lock(&self.inner);
        let (first, last) = inner.first.zip(inner.last).context("nothing changed")?;
        Ok(Stretch {
            first,
            last,
            changes: inner.changes,
        })
    }

    /// How many changes there were since [`Heard::begin`].
    pub fn changes(&self) -> u64 {
        lock(&self.inner).changes
    }
}

impl Inner {
    fn note(&mut self, user: UserId, state: PresenceState) {
        let before = self.states.insert(user, state).unwrap_or_default();
        if before != state {
            let now = Instant::now();
            self.first.get_or_insert(now);
            self.last = Some(now);
            self.changes += 1;
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
