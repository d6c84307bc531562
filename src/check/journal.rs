//! What clients tried, were told and were given.

mod delivery;
mod membership;
mod people;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Kind, Message, Page},
};

pub use delivery::{Delivery, TextHash};
pub use membership::{Change, Span};
pub(super) use people::People;
pub use people::Sessions;
pub(super) use seen::Seen;
pub use seen::Told;

/// A message that a client tried to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// By whom.
    pub sender: UserId,
    /// On which device, if that waits for the ack of one message of a conversation before it sends
    /// the next: then they are stored in this order.
    pub in_order_on: Option<Arc<str>>,
    /// Where to.
    pub conversation: Conversation,
    /// A text, an edit or a deletion.
    pub kind: Kind,
    /// What it said; `None` for a deletion.
    pub text: Option<String>,
    /// The message that an edit or a deletion names.
    pub target: Option<u64>,
    /// When the application handed it over first, since the run began.
    pub at: Duration,
}

/// One device in one conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receiver {
    /// The device, by any name that is unique in the run.
    pub device: String,
    /// The conversation.
    pub conversation: Conversation,
}

/// The first ack of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) seq: u64,
    pub(super) at: Duration,
}

/// The record of a run. Times count from its begin, on a clock that no fault touches.
#[derive(Debug, Default)]
pub struct Journal {
    pub(super) attempts: HashMap<MessageId, Attempt>,
    pub(super) acks: BTreeMap<MessageId, Ack>,
    pub(super) second_acks: Vec<(MessageId, u64, u64)>,
    pub(super) deliveries: BTreeMap<Receiver, Stretch>,
    /// Refused for good, each with the server's word for it.
    pub(super) refused: BTreeMap<MessageId, String>,
    /// Whose each device is.
    pub(super) owners: BTreeMap<String, UserId>,
    /// Who need not be given the end of a conversation: who was removed from it.
    pub(super) excused: BTreeSet<(UserId, Conversation)>,
    pub(super) changes: Vec<Change>,
    pub(super) seen: Seen,
    pub(super) people: People,
    /// What pages of history had in each place.
    pub(super) paged: BTreeMap<(Conversation, u64), Row>,
    /// The furthest that a page reached, which device was given it, and when.
    pub(super) pages: Vec<(Receiver, u64, Duration)>,
    /// When parts of the server were disturbed.
    pub(super) disturbed: Vec<Span>,
    /// When the streams had no quorum.
    pub(super) without_quorum: Vec<Span>,
}

/// A row of a page of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) prev: u64,
    pub(super) id: MessageId,
    /// The cursor after which the page was asked for, if this is its first row.
    pub(super) after: Option<u64>,
}

impl Row {
    /// Whether it says what is stored. The first row after a cursor may name the cursor as its
    /// predecessor, as long as nothing lies between the two.
    pub(super) fn is(&self, stored: &Message) -> bool {
        let cursor = self.after == Some(self.prev) && stored.prev <= self.prev;
        self.id == stored.id && (self.prev == stored.prev || cursor)
    }
}

/// What a receiver was given, and from where on it had to be given everything.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    pub(super) after: u64,
    pub(super) until: Option<u64>,
    pub(super) given: Vec<Delivery>,
}

impl Stretch {
    /// Up to where everything was given.
    pub(super) fn last(&self) -> u64 {
        self.given.last().map_or(self.after, |last| last.seq)
    }
}

impl Journal {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client is about to send a message, perhaps again. Say it before the first byte leaves.
    pub fn attempted(&mut self, id: MessageId, attempt: Attempt) {
        self.attempts.entry(id).or_insert(attempt);
    }

    /// A client was told that a message is on disk.
    pub fn acked(&mut self, id: MessageId, seq: u64, at: Duration) {
        match self.acks.get(&id) {
            Some(first) if first.seq != seq => self.second_acks.push((id, first.seq, seq)),
            Some(_) => {}
            None => {
                self.acks.insert(id, Ack { seq, at });
            }
        }
    }

    /// The place that the ack of a message named, if there was one.
    #[must_use]
    pub fn ack_of(&self, id: &MessageId) -> Option<u64> {
        self.acks.get(id).map(|ack| ack.seq)
    }

    /// When a message was handed over and when it was acknowledged, if it was.
    #[must_use]
    pub fn times_of(&self, id: &MessageId) -> Option<(Duration, Duration)> {
        Some((self.attempts.get(id)?.at, self.acks.get(id)?.at))
    }

    /// A client was told that a message is refused for good, and so not stored.
    pub fn refused(&mut self, id: MessageId, why: String) {
        self.refused.entry(id).or_insert(why);
    }

    /// A device belongs to a user.
    pub fn owns(&mut self, device: &str, user: UserId) {
        self.owners.insert(device.into(), user);
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

    /// A user who is being removed from a group need not be given its end, from now until
    /// [`Journal::demands`]: what is on its way at that moment may or may not arrive.
    pub fn excuses(&mut self, user: UserId, conversation: Conversation) {
        self.excused.insert((user, conversation));
    }

    /// A user who is in a group again has to be given everything.
    pub fn demands(&mut self, user: UserId, conversation: Conversation) {
        self.excused.remove(&(user, conversation));
    }

    /// A device showed a message.
    pub fn delivered(&mut self, device: &str, message: &Message, at: Duration) {
        let receiver = Receiver {
            device: device.into(),
            conversation: message.conversation,
        };
        let given = &mut self.deliveries.entry(receiver).or_default().given;
        given.push(Delivery::of(message, at));
    }

    /// A device was given a page of history, which it asked for after a cursor or otherwise.
    pub fn paged(&mut self, device: &str, page: &Page, after: Option<u64>, at: Duration) {
        let receiver = Receiver {
            device: device.into(),
            conversation: page.conversation,
        };
        if let Some(last) = page.messages.last() {
            self.pages.push((receiver, last.seq, at));
        }
        for (index, message) in page.messages.iter().enumerate() {
            let row = Row {
                prev: message.prev,
                id: message.id,
                after: after.filter(|_| index == 0),
            };
            self.paged.insert((page.conversation, message.seq), row);
        }
    }

    /// The user behind a receiver, if that was said.
    pub(super) fn owner(&self, receiver: &Receiver) -> Option<UserId> {
        // Stretches after a truncation are numbered.
        let device = receiver.device.split(" #").next()?;
        self.owners.get(device).copied()
    }

    /// Whether a receiver need not be given the end of its conversation.
    pub(super) fn is_excused(&self, receiver: &Receiver) -> bool {
        self.owner(receiver)
            .is_some_and(|user| self.excused.contains(&(user, receiver.conversation)))
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

    /// Whether every receiver that has to be was given the message with sequence `head` of its
    /// conversation.
    #[must_use]
    pub fn all_reached(&self, conversation: &Conversation, head: u64) -> bool {
        self.behind(conversation, head).next().is_none()
    }

    /// The receivers that have to be given `head` of a conversation and were not.
    pub(super) fn behind<'a>(
        &'a self,
        conversation: &'a Conversation,
        head: u64,
    ) -> impl Iterator<Item = (&'a Receiver, u64)> {
        self.deliveries
            .iter()
            .filter(move |(receiver, stretch)| {
                let end = stretch.until.map_or(head, |until| until.min(head));
                receiver.conversation == *conversation && stretch.last() < end && !self.is_excused(receiver)
            })
            .map(|(receiver, stretch)| (receiver, stretch.last()))
    }
}
