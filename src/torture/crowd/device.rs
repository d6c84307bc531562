//! One device: it comes and goes, and what it had no answer for it sends again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use natterjack_client::{Account, Draft, QueueError, SendFailure};
use natterjack_nats::{Conversation, DeviceId, MessageId, UserId};
use natterjack_runtime::clock::Clock;
use rand::{RngExt, rngs::StdRng};
use tokio::sync::RwLock;

use crate::check::{Recorded, Recorder};

/// Messages of its own that a device remembers, to edit them or send them again.
const MINE_MAX: usize = 200;
/// Furthest that the clock of a device is wrong.
const WRONG_MS_MAX: i64 = 600_000;

/// A device of a user.
pub struct Device {
    /// Its name in the record.
    pub name: String,
    /// Where its user talks.
    pub places: Vec<Conversation>,
    /// Whom it watches.
    watched: Vec<UserId>,
    account: Account,
    recorder: Recorder,
    /// How far its clock is ahead.
    wrong_ms: i64,
    client: RwLock<Option<Recorded>>,
    mine: Mutex<BTreeMap<MessageId, Draft>>,
    active: AtomicBool,
}

impl Device {
    /// A device that is not connected yet; the clock of every third one is wrong.
    pub fn new(
        index: usize,
        account: Account,
        (places, watched): (Vec<Conversation>, Vec<UserId>),
        recorder: &Recorder,
        random: &mut StdRng,
    ) -> Self {
        let wrong_ms = if index % 3 == 2 {
            random.random_range(-WRONG_MS_MAX..WRONG_MS_MAX)
        } else {
            0
        };
        Self {
            name: format!("client-{index}"),
            places,
            watched,
            account,
            recorder: recorder.clone(),
            wrong_ms,
            client: RwLock::new(None),
            mine: Mutex::default(),
            active: AtomicBool::new(true),
        }
    }

    /// Connects, with cursors if it was here before. Only for a device that nobody else uses yet.
    ///
    /// # Errors
    /// It is connected, or its name is taken.
    pub fn connect(&self, resume: Option<BTreeMap<Conversation, u64>>) -> anyhow::Result<()> {
        let client = self.recorded(resume)?;
        *self.client.try_write().context("somebody uses the device")? = Some(client);
        Ok(())
    }

    fn recorded(&self, resume: Option<BTreeMap<Conversation, u64>>) -> anyhow::Result<Recorded> {
        let mut config = self.account.config();
        // Faults hit chosen ways to chosen edges: none may be found that leads past them.
        config.discovery = false;
        config.resume = resume;
        config.active = self.active.load(Ordering::Relaxed);
        config.backoff_max = Duration::from_secs(1);
        config.ack_timeout = Duration::from_secs(5);
        config.connect_timeout = Duration::from_secs(3);
        // Small, so that a client that is held still stops to read soon.
        config.events_max = 32;
        let recorded = self.recorder.connect(self.name.clone(), &self.account, config)?;
        recorded.watch(&self.watched)?;
        Ok(recorded)
    }

    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.account.user().id
    }

    /// Its id.
    pub fn id(&self) -> DeviceId {
        self.account.device()
    }

    /// What it has of a conversation.
    pub fn last(&self, conversation: Conversation) -> Option<u64> {
        self.recorder.last(&self.name, conversation)
    }

    /// The places of texts of its own that are on disk.
    pub fn texts(&self) -> Vec<(Conversation, u64)> {
        let mine = self.mine();
        let texts = mine
            .iter()
            .filter(|(_, draft)| matches!(draft.content, natterjack_nats::wire::Content::Text { .. }));
        self.recorder.with_journal(|journal| {
            texts
                .filter_map(|(id, draft)| Some((draft.conversation, journal.ack_of(id)?)))
                .collect()
        })
    }

    /// Does something with the client, if it is there.
    pub async fn with<T>(&self, act: impl AsyncFnOnce(&Recorded) -> T) -> Option<T> {
        let client = self.client.read().await;
        match client.as_ref() {
            Some(client) => Some(act(client).await),
            None => None,
        }
    }

    /// Sends a draft under an id by its own clock. A full outbox swallows it: an outage is long.
    ///
    /// # Errors
    /// The client has stopped by itself, which none may.
    pub async fn send(&self, draft: Draft) -> anyhow::Result<()> {
        let now_ms = Clock::system().now_ms().saturating_add_signed(self.wrong_ms);
        let id = MessageId::generate(now_ms);
        self.remember(id, &draft);
        self.with(async |client| self.hand_over(client, draft.with_id(id)))
            .await
            .unwrap_or(Ok(()))
    }

    fn hand_over(&self, client: &Recorded, draft: Draft) -> anyhow::Result<()> {
        match client.send_with(draft) {
            Err(error) if error.downcast_ref() != Some(&QueueError::Full) => {
                let why = self.recorder.stopped().remove(&self.name);
                Err(error).with_context(|| format!("{} ended by itself: {why:?}", self.name))
            }
            _ => Ok(()),
        }
    }

    fn remember(&self, id: MessageId, draft: &Draft) {
        let mut mine = self.mine();
        if mine.len() >= MINE_MAX {
            // Any of those that are settled; ids of one device come mostly in the order of time.
            let settled = self
                .recorder
                .with_journal(|journal| mine.keys().find(|id| journal.ack_of(id).is_some()).copied());
            if let Some(settled) = settled {
                mine.remove(&settled);
            }
        }
        mine.insert(id, draft.clone());
    }

    /// Leaves its events where they are, or takes them again.
    pub async fn hold(&self, held: bool) {
        self.with(async |client| client.hold(held)).await;
    }

    /// Whether the app is there, and whether it is in the foreground: it starts there.
    pub async fn is_active(&self) -> Option<bool> {
        self.with(async |_| self.active.load(Ordering::Relaxed)).await
    }

    /// Goes to the foreground or to the background.
    ///
    /// # Errors
    /// The client has stopped by itself, which none may.
    pub async fn set_active(&self, active: bool) -> anyhow::Result<()> {
        self.active.store(active, Ordering::Relaxed);
        let told = self.with(async |client| client.client().set_active(active)).await;
        Ok(told.unwrap_or(Ok(()))?)
    }

    /// Leaves in good order.
    ///
    /// # Errors
    /// It has messages without an answer for too long.
    pub async fn leave(&self, within: Duration) -> anyhow::Result<()> {
        match self.client.write().await.take() {
            Some(client) => client.close(within).await,
            None => Ok(()),
        }
    }

    /// Is gone from one moment to the next.
    ///
    /// # Errors
    /// Its listener panicked.
    pub async fn crash(&self) -> anyhow::Result<()> {
        match self.client.write().await.take() {
            Some(client) => client.abandon().await,
            None => Ok(()),
        }
    }

    /// Comes back with what it has, and sends again what it had no answer for, under the same ids.
    ///
    /// # Errors
    /// It is there already.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        let mut client = self.client.write().await;
        let back = self.recorded(Some(self.recorder.cursors(&self.name)))?;
        let failed = self.recorder.failed();
        let lost: Vec<(MessageId, Draft)> = self
            .mine()
            .iter()
            .filter(|(id, _)| failed.get(id) == Some(&SendFailure::Stopped))
            .map(|(id, draft)| (*id, draft.clone()))
            .collect();
        for (id, draft) in lost {
            self.hand_over(&back, draft.with_id(id))?;
        }
        *client = Some(back);
        Ok(())
    }

    /// Fails if it should be there and is not.
    ///
    /// # Errors
    /// It is not there, or has ended by itself.
    pub fn present(self: &Arc<Self>) -> anyhow::Result<()> {
        let there = self.client.try_read().is_ok_and(|client| client.is_some());
        let stopped = self.recorder.stopped().remove(&self.name);
        anyhow::ensure!(
            there && stopped.is_none(),
            "{} is not there: {stopped:?}",
            self.name
        );
        Ok(())
    }

    fn mine(&self) -> MutexGuard<'_, BTreeMap<MessageId, Draft>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
