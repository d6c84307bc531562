//! The record itself: the journal, and what is known of the devices that it is kept of.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use natterjack_client::{Api, SendFailure, StopReason};
use natterjack_nats::{Conversation, MessageId, UserId};
use tokio::time::Instant;

use crate::check::{Journal, Receiver};

pub(super) struct Record {
    pub(super) journal: Journal,
    /// When the run began.
    pub(super) began: Instant,
    pub(super) open: HashSet<MessageId>,
    pub(super) failed: HashMap<MessageId, SendFailure>,
    /// Who can read a conversation back at the end.
    pub(super) readers: BTreeMap<UserId, Api>,
    pub(super) devices: BTreeMap<String, UserId>,
    pub(super) stopped: BTreeMap<String, StopReason>,
    /// Devices that were connected at least once.
    pub(super) ready: HashSet<String>,
    /// How often a device was told that a conversation is truncated: a new stretch begins with each.
    pub(super) cut: HashMap<(String, Conversation), u32>,
    /// How long each ack took, from when the application handed the message over.
    pub(super) latencies: Vec<Duration>,
    /// Since when a device is without a connection, and the longest time that it was.
    pub(super) gaps: BTreeMap<String, Gap>,
}

/// Times without a connection, of one device.
#[derive(Default)]
pub(super) struct Gap {
    pub(super) since: Option<Instant>,
    pub(super) longest: Duration,
    pub(super) count: u32,
}

impl Gap {
    pub(super) fn begins(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn ends(&mut self) {
        if let Some(since) = self.since.take() {
            self.longest = self.longest.max(since.elapsed());
            self.count += 1;
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            journal: Journal::new(),
            began: Instant::now(),
            open: HashSet::new(),
            failed: HashMap::new(),
            readers: BTreeMap::new(),
            devices: BTreeMap::new(),
            stopped: BTreeMap::new(),
            ready: HashSet::new(),
            cut: HashMap::new(),
            latencies: Vec::new(),
            gaps: BTreeMap::new(),
        }
    }
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
    pub(super) fn size(&self) -> (usize, usize, usize) {
        let given = self
            .journal
            .deliveries
            .values()
            .map(|stretch| stretch.given.len());
        (self.journal.attempts.len(), self.journal.acks.len(), given.sum())
    }

    /// The present stretch of a device in a conversation.
    pub(super) fn stretch(&self, device: &str, conversation: Conversation) -> Receiver {
        match self.cut.get(&(device.to_owned(), conversation)) {
            Some(count) => receiver(&format!("{device} #{count}"), conversation),
            None => receiver(device, conversation),
        }
    }

    /// A device connects, with what it has: for the first time, or where it was when it left.
    pub(super) fn begin(&mut self, device: &str, resume: Option<&BTreeMap<Conversation, u64>>) {
        for (conversation, after) in resume.into_iter().flatten() {
            let receiver = self.stretch(device, *conversation);
            match self.journal.deliveries.get_mut(&receiver) {
                Some(stretch) => stretch.until = None,
                None => self.journal.listens(receiver, *after),
            }
        }
    }

    /// A device leaves: what follows the last message that it was given it need not be given.
    pub(super) fn end(&mut self, device: &str) {
        self.devices.remove(device);
        self.journal.watches_nobody(device);
        let numbered = format!("{device} #");
        for (receiver, stretch) in &mut self.journal.deliveries {
            let mine = receiver.device == device || receiver.device.starts_with(&numbered);
            if mine && stretch.until.is_none() {
                stretch.until = Some(stretch.last());
            }
        }
    }
}

pub(super) fn receiver(device: &str, conversation: Conversation) -> Receiver {
    Receiver {
        device: device.into(),
        conversation,
    }
}
