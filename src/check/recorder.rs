//! Feeds a [`Journal`] from the events of Rust clients, so that a run is: connect recorded
//! clients, do things, [`Recorder::settle`], [`Recorder::check`].

mod client;
mod listener;
mod record;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use natterjack_client::{Account, Client, Config, SendFailure, StopReason};
use natterjack_nats::{
    Conversation, MessageId,
    wire::{HistoryQuery, Message},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

pub use client::Recorded;
use listener::Listener;
use record::{Gap, Record, receiver};

use super::{Attempt, Journal, Summary, check};

const POLL: Duration = Duration::from_millis(20);

/// A record that any number of clients write; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Record>>);

impl Recorder {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects a device under a name that is unique in the run, and records from now on.
    ///
    /// # Errors
    /// An address that is none.
    pub fn connect(
        &self,
        device: impl Into<String>,
        account: &Account,
        config: Config,
    ) -> anyhow::Result<Recorded> {
        let (device, user) = (device.into(), account.user().id);
        {
            let mut record = self.record();
            record.readers.insert(user, account.api());
            anyhow::ensure!(
                record.devices.insert(device.clone(), user).is_none(),
                "two devices are named {device}"
            );
            record.journal.owns(&device, user);
            record.ready.remove(&device);
            record.stopped.remove(&device);
            record.begin(&device, config.resume.as_ref());
        }
        let resumes = config.resume.is_some();
        let in_order = (config.pipeline == 1).then(|| device.as_str().into());
        let (held, gate) = watch::channel(false);
        let (client, events) = Client::connect(config)?;
        let listener = Listener {
            recorder: self.clone(),
            device: device.clone(),
            user,
            gate,
            resumes,
        };
        let listener = tokio::spawn(listener.run(events));
        Ok(Recorded {
            client,
            user,
            device,
            recorder: self.clone(),
            in_order,
            held,
            listener,
        })
    }

    /// How long the run lasts already; what the times of the journal count.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.record().began.elapsed()
    }

    /// What a device has without a gap in each of its conversations, for its next connection.
    #[must_use]
    pub fn cursors(&self, device: &str) -> BTreeMap<Conversation, u64> {
        let record = self.record();
        let here = |conversation: Conversation| record.stretch(device, conversation);
        let conversations = record.journal.conversations();
        let known = conversations.into_iter().filter_map(|conversation| {
            let stretch = record.journal.deliveries.get(&here(conversation))?;
            Some((conversation, stretch.last()))
        });
        known.filter(|(_, cursor)| *cursor > 0).collect()
    }

    /// Up to where a device has everything in a conversation, if it knows of it.
    #[must_use]
    pub fn last(&self, device: &str, conversation: Conversation) -> Option<u64> {
        let record = self.record();
        let stretch = record
            .journal
            .deliveries
            .get(&record.stretch(device, conversation))?;
        Some(stretch.last())
    }

    /// How long each ack took, from when the application handed the message over; not in order.
    #[must_use]
    pub fn latencies(&self) -> Vec<Duration> {
        self.record().latencies.clone()
    }

    /// The clients that ended by themselves, and why.
    #[must_use]
    pub fn stopped(&self) -> BTreeMap<String, StopReason> {
        self.record().stopped.clone()
    }

    /// Looks at the journal, or adds to it what other ways than a recorded client were used for.
    pub fn with_journal<T>(&self, look: impl FnOnce(&mut Journal) -> T) -> T {
        look(&mut self.record().journal)
    }

    /// Waits until every device has been connected at least once: from then on it has to be given
    /// whatever is sent.
    ///
    /// # Errors
    /// One takes longer than `within`, or has stopped.
    pub async fn ready(&self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            {
                let record = self.record();
                let missing = record
                    .devices
                    .keys()
                    .find(|device| !record.ready.contains(*device));
                let Some(missing) = missing else { return Ok(()) };
                let stopped = record.stopped.get(missing);
                anyhow::ensure!(
                    stopped.is_none() && Instant::now() < deadline,
                    "{missing} is not ready: {stopped:?}"
                );
            }
            sleep(POLL).await;
        }
    }

    /// What was handed over and has neither been acknowledged nor failed.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.record().open.len()
    }

    /// A receiver that was not given the last message that was acknowledged in one of its
    /// conversations, if there is one; asks no server.
    #[must_use]
    pub fn undelivered(&self) -> Option<String> {
        let conversations = self.conversations();
        let record = self.record();
        let mut heads: BTreeMap<Conversation, u64> = BTreeMap::new();
        for (id, seq) in &record.journal.acks {
            if let Some(attempt) = record.journal.attempts.get(id) {
                let head = heads.entry(attempt.conversation).or_default();
                *head = (*head).max(seq.seq);
            }
        }
        conversations.iter().find_map(|conversation| {
            let head = *heads.get(conversation)?;
            let behind = behind(&record.journal, conversation, head);
            (!behind.is_empty()).then(|| format!("{conversation} has {head}, but {behind:?}"))
        })
    }

    /// The longest time that each device was without a connection since it first had one, and how often it was;
    /// one that lasts counts until now.
    #[must_use]
    pub fn gaps(&self) -> BTreeMap<String, (Duration, u32)> {
        let record = self.record();
        let told = |gap: &Gap| match gap.since {
            Some(since) => (gap.longest.max(since.elapsed()), gap.count + 1),
            None => (gap.longest, gap.count),
        };
        record
            .gaps
            .iter()
            .map(|(device, gap)| (device.clone(), told(gap)))
            .collect()
    }

    /// What the server refused for good, or was open when its client was closed.
    #[must_use]
    pub fn failed(&self) -> HashMap<MessageId, SendFailure> {
        self.record().failed.clone()
    }

    /// Waits until every send has its answer and every receiver was given the head of each of its
    /// conversations; then the whole history.
    ///
    /// # Errors
    /// It takes longer than `within`; the message says what is missing.
    pub async fn settle(&self, within: Duration) -> anyhow::Result<BTreeMap<Conversation, Vec<Message>>> {
        let deadline = Instant::now() + within;
        let mut history = BTreeMap::new();
        loop {
            let missing = match self.missing().await {
                Ok(None) => break,
                Ok(Some(missing)) => missing,
                Err(error) => format!("{error:#}"),
            };
            anyhow::ensure!(
                Instant::now() < deadline,
                "not settled after {within:?}: {missing}"
            );
            sleep(POLL).await;
        }
        for conversation in self.conversations() {
            history.insert(conversation, self.whole(conversation).await?);
        }
        Ok(history)
    }

    /// Settles, and compares the record with the history.
    ///
    /// # Errors
    /// It does not settle, or a promise was broken.
    pub async fn check(&self, within: Duration) -> anyhow::Result<Summary> {
        let deadline = Instant::now() + within;
        loop {
            let before = self.record().size();
            let history = self.settle(within).await?;
            let record = self.record();
            // What came while the history was read is in the one and perhaps not in the other.
            if record.size() == before {
                return Ok(check(&record.journal, &history)?);
            }
            drop(record);
            anyhow::ensure!(Instant::now() < deadline, "not at rest after {within:?}");
        }
    }

    async fn missing(&self) -> anyhow::Result<Option<String>> {
        let open = self.open_count();
        if open > 0 {
            return Ok(Some(format!("{open} messages have no answer yet")));
        }
        for conversation in self.conversations() {
            let head = self.page(conversation, None).await?.head;
            let record = self.record();
            if !record.journal.all_reached(&conversation, head) {
                let behind = behind(&record.journal, &conversation, head);
                return Ok(Some(format!(
                    "{conversation} has its head at {head}, but {behind:?}"
                )));
            }
        }
        Ok(None)
    }

    /// The conversations of the record; on the way, every device is noted as a receiver of the 1:1
    /// chats of its user, even if it was never given anything.
    fn conversations(&self) -> Vec<Conversation> {
        let mut record = self.record();
        let conversations = record.journal.conversations();
        let devices = record.devices.clone();
        for conversation in conversations.iter().copied() {
            if !matches!(conversation, Conversation::Dm(_)) {
                continue;
            }
            for (device, _) in devices
                .iter()
                .filter(|(_, user)| conversation.admits(**user) == Some(true))
            {
                record
                    .journal
                    .deliveries
                    .entry(receiver(device, conversation))
                    .or_default();
            }
        }
        conversations
    }

    async fn whole(&self, conversation: Conversation) -> anyhow::Result<Vec<Message>> {
        let mut all: Vec<Message> = Vec::new();
        loop {
            let after = all.last().map_or(0, |last| last.seq);
            let page = self.page(conversation, Some(after)).await?;
            all.extend(page.messages);
            if !page.more_after {
                return Ok(all);
            }
        }
    }

    /// A page as the first user sees it who may.
    async fn page(
        &self,
        conversation: Conversation,
        after: Option<u64>,
    ) -> anyhow::Result<natterjack_nats::wire::Page> {
        let readers = self.record().readers.clone();
        let mut refused = None;
        for (user, api) in readers {
            if conversation.admits(user) == Some(false) {
                continue;
            }
            let limit = if after.is_none() { Some(1) } else { None };
            let query = HistoryQuery {
                conversation,
                before: None,
                after,
                around: None,
                at: None,
                limit,
            };
            match api.history(&query).await {
                Ok(page) => return Ok(page),
                Err(error) if error.wire().is_some_and(|error| !error.retryable) => refused = Some(error),
                Err(error) => return Err(error).with_context(|| format!("history of {conversation}")),
            }
        }
        match refused {
            Some(error) => Err(error).with_context(|| format!("nobody may read {conversation}")),
            None => bail!("nobody reads {conversation}"),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which receivers were not given the head, and how far they are.
fn behind(journal: &Journal, conversation: &Conversation, head: u64) -> Vec<String> {
    journal
        .behind(conversation, head)
        .map(|(receiver, last)| format!("{} is at {last}", receiver.device))
        .collect()
}
