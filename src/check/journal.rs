//! What clients tried, were told and were given.

use std::collections::{BTreeMap, HashMap};

use natterjack_nats::{Conversation, MessageId, UserId, wire::Message};

/// A message that a client tried to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// By whom.
    pub sender: UserId,
    /// Where to.
    pub conversation: Conversation,
    /// What it said; `None` for a deletion.
    pub text: Option<String>,
}

/// A message as a client showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
    /// By whom.
    pub sender: UserId,
}

/// One device in one conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receiver {
    /// The device, by any name that is unique in the run.
    pub device: String,
    /// The conversation.
    pub conversation: Conversation,
}

/// The record of a run.
#[derive(Debug, Default)]
pub struct Journal {
    pub(super) attempts: HashMap<MessageId, Attempt>,
    pub(super) acks: BTreeMap<MessageId, u64>,
    pub(super) second_acks: Vec<(MessageId, u64, u64)>,
    pub(super) deliveries: BTreeMap<Receiver, Stretch>,
}

/// What a receiver was given, and from where on it had to be given everything.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    pub(super) after: u64,
    pub(super) until: Option<u64>,
    pub(super) given: Vec<Delivery>,
}

impl Journal {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client is about to send a message. Say it before the first byte leaves.
    pub fn attempted(&mut self, id: MessageId, attempt: Attempt) {
        self.attempts.insert(id, attempt);
    }

    /// A client was told that a message is on disk.
    pub fn acked(&mut self, id: MessageId, seq: u64) {
        match self.acks.get(&id) {
            Some(&first) if first != seq => self.second_acks.push((id, first, seq)),
            _ => {
                self.acks.insert(id, seq);
            }
        }
    }

    /// From now on a device must be given all that follows `after` in a conversation; without
    /// this call, all from the start.
    pub fn listens(&mut self, receiver: Receiver, after: u64) {
        self.deliveries.entry(receiver).or_default().after = after;
    }

    /// A device need not be given anything beyond `until`: it left, or the run ended for it.
    pub fn stops(&mut self, receiver: Receiver, until: u64) {
        self.deliveries.entry(receiver).or_default().until = Some(until);
    }

    /// A device showed a message.
    pub fn delivered(&mut self, device: &str, message: &Message) {
        let receiver = Receiver {
            device: device.into(),
            conversation: message.conversation,
        };
        let delivery = Delivery {
            seq: message.seq,
            id: message.id,
            sender: message.sender,
        };
        self.deliveries.entry(receiver).or_default().given.push(delivery);
    }

    /// How many messages were acknowledged.
    #[must_use]
    pub fn ack_count(&self) -> usize {
        self.acks.len()
    }

    /// The conversations in which anything was tried or given.
    #[must_use]
    pub fn conversations(&self) -> Vec<Conversation> {
        let tried = self.attempts.values().map(|attempt| attempt.conversation);
        let given = self.deliveries.keys().map(|receiver| receiver.conversation);
        let mut all: Vec<_> = tried.chain(given).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether every receiver has been given the message with sequence `head` of its conversation.
    #[must_use]
    pub fn all_reached(&self, conversation: &Conversation, head: u64) -> bool {
        self.deliveries
            .iter()
            .filter(|(receiver, _)| receiver.conversation == *conversation)
            .all(|(_, stretch)| {
                let end = stretch.until.map_or(head, |until| until.min(head));
                stretch.after >= end || stretch.given.last().is_some_and(|last| last.seq >= end)
            })
    }
}
