//! Feeds a [`Journal`] from the events of Rust clients, so that a run is: connect recorded
//! clients, do things, [`Recorder::settle`], [`Recorder::check`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use natterjack_client::{Account, Api, Client, Config, Draft, Event, Events, SendFailure, StopReason};
use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Content, HistoryQuery, Message},
};
use natterjack_runtime::clock::Clock;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Attempt, Journal, Receiver, Summary, check, journal::Stretch};

const POLL: Duration = Duration::from_millis(20);

/// A record that any number of clients write; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    journal: Journal,
    open: HashSet<MessageId>,
    failed: HashMap<MessageId, SendFailure>,
    /// Who can read a conversation back at the end.
    readers: BTreeMap<UserId, Api>,
    devices: BTreeMap<String, UserId>,
    stopped: BTreeMap<String, StopReason>,
    /// Devices that were connected at least once.
    ready: HashSet<String>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("devices", &self.devices)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Record {
    /// Grows with everything that a client tried, was told or was given.
    fn size(&self) -> (usize, usize, usize) {
        let given = self
            .journal
            .deliveries
            .values()
            .map(|stretch| stretch.given.len());
        (self.journal.attempts.len(), self.journal.acks.len(), given.sum())
    }
}

/// A client all of whose doings are on record. It is closed by [`Recorded::close`], or cut off
/// when it is dropped.
pub struct Recorded {
    client: Client,
    user: UserId,
    device: String,
    recorder: Recorder,
    listener: JoinHandle<()>,
}

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
            for (conversation, after) in config.resume.iter().flatten() {
                record.journal.listens(receiver(&device, *conversation), *after);
            }
        }
        let resumes = config.resume.is_some();
        let (client, events) = Client::connect(config)?;
        let listener = Listener {
            recorder: self.clone(),
            device: device.clone(),
            cut: HashMap::new(),
            resumes,
        };
        let listener = tokio::spawn(listener.run(events));
        Ok(Recorded {
            client,
            user,
            device,
            recorder: self.clone(),
            listener,
        })
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
                *head = (*head).max(*seq);
            }
        }
        conversations.iter().find_map(|conversation| {
            let head = *heads.get(conversation)?;
            let behind = behind(&record.journal, conversation, head);
            (!behind.is_empty()).then(|| format!("{conversation} has {head}, but {behind:?}"))
        })
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
        for conversation in &conversations {
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
                    .entry(receiver(device, *conversation))
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

impl Recorded {
    /// The client itself, for what need not be on record: typing, receipts, history.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Its name in the record.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Sends a text.
    ///
    /// # Errors
    /// The outbox is full, or the client has stopped.
    pub fn send(&self, conversation: Conversation, text: impl Into<String>) -> anyhow::Result<MessageId> {
        self.send_with(Draft::text(conversation, text))
    }

    /// Sends any draft.
    ///
    /// # Errors
    /// The outbox is full, or the client has stopped.
    pub fn send_with(&self, draft: Draft) -> anyhow::Result<MessageId> {
        let id = draft
            .id
            .unwrap_or_else(|| MessageId::generate(Clock::system().now_ms()));
        let text = match &draft.content {
            Content::Text { text, .. } | Content::Edit { text, .. } => Some(text.clone()),
            Content::Delete { .. } | Content::Event(_) => None,
        };
        let attempt = Attempt {
            sender: self.user,
            conversation: draft.conversation,
            text,
        };
        {
            let mut record = self.recorder.record();
            record.journal.attempted(id, attempt);
            record.open.insert(id);
        }
        let sent = self.client.send_with(draft.with_id(id));
        if sent.is_err() {
            self.recorder.record().open.remove(&id);
        }
        Ok(sent?)
    }

    /// From now on this device has to be given all that follows `after` in a conversation.
    pub fn expects(&self, conversation: Conversation, after: u64) {
        self.recorder
            .record()
            .journal
            .listens(receiver(&self.device, conversation), after);
    }

    /// Waits until everything sent has its answer, then leaves. What follows the last message
    /// that it was given in each conversation it need not be given any more.
    ///
    /// # Errors
    /// An answer took longer than `within`.
    pub async fn close(self, within: Duration) -> anyhow::Result<()> {
        let flushed = self.client.flush(within).await;
        self.client.close().await;
        let Self {
            listener,
            recorder,
            device,
            ..
        } = self;
        listener.await.context("the listener")?;
        let mut record = recorder.record();
        record.devices.remove(&device);
        let numbered = format!("{device} #");
        for (receiver, stretch) in &mut record.journal.deliveries {
            if (receiver.device == device || receiver.device.starts_with(&numbered))
                && stretch.until.is_none()
            {
                stretch.until = Some(stretch.given.last().map_or(stretch.after, |last| last.seq));
            }
        }
        anyhow::ensure!(
            flushed,
            "{device} has messages without an answer after {within:?}"
        );
        Ok(())
    }
}

/// Takes the events of one client.
struct Listener {
    recorder: Recorder,
    device: String,
    resumes: bool,
    /// How often a conversation was truncated: a new stretch begins with each.
    cut: HashMap<Conversation, u32>,
}

impl Listener {
    async fn run(mut self, mut events: Events) {
        let mut new = !self.resumes;
        while let Some(event) = events.next().await {
            let recorder = self.recorder.clone();
            let mut record = recorder.record();
            match event {
                Event::Ready(first) => {
                    record.ready.insert(self.device.clone());
                    if std::mem::take(&mut new) {
                        for summary in &first.conversations {
                            record
                                .journal
                                .listens(self.stretch(summary.conversation), summary.head);
                        }
                    }
                }
                Event::Acked { id, seq, .. } => {
                    record.open.remove(&id);
                    record.journal.acked(id, seq);
                }
                Event::SendFailed { id, error, .. } => {
                    record.open.remove(&id);
                    record.failed.insert(id, error);
                }
                Event::Message(message) => self.delivered(&mut record.journal, &message),
                Event::Truncated {
                    conversation,
                    cursor,
                    head,
                } => {
                    record.journal.stops(self.stretch(conversation), cursor);
                    *self.cut.entry(conversation).or_default() += 1;
                    record.journal.listens(self.stretch(conversation), head);
                }
                Event::Stopped(reason) => {
                    record.stopped.insert(self.device.clone(), reason);
                }
                _ => {}
            }
        }
    }

    fn delivered(&self, journal: &mut Journal, message: &Message) {
        let receiver = self.stretch(message.conversation);
        let joined = !matches!(message.conversation, Conversation::Dm(_));
        if joined && !self.resumes && !journal.deliveries.contains_key(&receiver) {
            // A group that was joined since: what was there before need not be given.
            journal.listens(receiver.clone(), message.prev);
        }
        journal.delivered(&receiver.device, message);
    }

    fn stretch(&self, conversation: Conversation) -> Receiver {
        match self.cut.get(&conversation) {
            Some(count) => receiver(&format!("{} #{count}", self.device), conversation),
            None => receiver(&self.device, conversation),
        }
    }
}

fn receiver(device: &str, conversation: Conversation) -> Receiver {
    Receiver {
        device: device.into(),
        conversation,
    }
}

/// Which receivers were not given the head, and how far they are.
fn behind(journal: &Journal, conversation: &Conversation, head: u64) -> Vec<String> {
    let here = journal
        .deliveries
        .iter()
        .filter(|(receiver, _)| receiver.conversation == *conversation);
    let last = |stretch: &Stretch| stretch.given.last().map_or(stretch.after, |last| last.seq);
    here.filter(|(_, stretch)| last(stretch) < stretch.until.unwrap_or(head))
        .map(|(receiver, stretch)| format!("{} is at {}", receiver.device, last(stretch)))
        .collect()
}
