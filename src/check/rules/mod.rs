//! The promises, one function each; a file for what they are about.

mod changes;
mod cursors;
mod given;
mod members;
mod people;
mod stored;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use natterjack_nats::{Conversation, wire::Message};

use super::journal::{Journal, Stretch};

pub use members::SENDS_REFUSED_WITHIN;
pub use people::presence;

/// The history at the end, whole and ascending, of each conversation.
pub(super) type History = BTreeMap<Conversation, Vec<Message>>;

/// A broken promise: which, where, and what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// What happened.
    pub what: String,
    /// The history around it.
    pub around: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}\n{}", self.promise, self.what)?;
        self.around.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Violation {}

/// What was checked, when nothing was broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that were acknowledged.
    pub acked: usize,
    /// Messages in history that nobody got an ack for; allowed, since an ack can be lost.
    pub unacked_stored: usize,
    /// Messages in history.
    pub stored: usize,
    /// Deliveries to devices.
    pub delivered: usize,
    /// Devices times conversations.
    pub receivers: usize,
    /// Edits and deletions that counted.
    pub changed: usize,
    /// Memberships that began or ended after their group was made.
    pub memberships: usize,
    /// Cursors and unread counts that were compared at the end.
    pub cursors: usize,
    /// What watchers were told last of others that was compared at the end; 0 where nobody watches.
    pub shown: usize,
}

/// Compares the record of a run with the history at its end.
///
/// # Errors
/// The first [`Violation`].
pub fn check(journal: &Journal, history: &History) -> Result<Summary, Violation> {
    for (conversation, messages) in history {
        stored::chain_is_whole(conversation, messages)?;
        stored::once(messages)?;
        stored::nothing_invented(journal, messages)?;
        stored::in_the_order_of_each_device(journal, messages)?;
        changes::of_history(messages)?;
        members::may_send(journal, conversation, messages)?;
    }
    stored::one_ack_per_message(journal)?;
    stored::acked_is_stored(journal, history)?;
    stored::refused_is_not_stored(journal, history)?;
    stored::nothing_acked_without_quorum(journal)?;
    for (receiver, stretch) in &journal.deliveries {
        let messages = history.get(&receiver.conversation).map_or(&[][..], Vec::as_slice);
        given::as_stored(receiver, stretch, messages)?;
        given::in_order_without_hole(journal, receiver, stretch, messages)?;
        given::to_members_only(journal, receiver, stretch, messages)?;
        changes::at_a_receiver(receiver, stretch, messages)?;
    }
    given::pages_as_stored(journal, history)?;
    given::pages_to_members_only(journal, history)?;
    cursors::never_fall(journal)?;
    cursors::nothing_invented(journal, history)?;
    let cursors = cursors::at_rest(journal, history)?;
    Ok(summary(journal, history, cursors))
}

fn summary(journal: &Journal, history: &History, cursors: usize) -> Summary {
    let all = || history.values().flatten();
    let tried = all().filter(|message| journal.attempts.contains_key(&message.id));
    // A second copy that slipped past the dedupe window has a row of its own.
    let tried = tried.filter(|message| message.kind != natterjack_nats::wire::Kind::Duplicate);
    let given = |stretch: &Stretch| stretch.given.len();
    Summary {
        acked: journal.acks.len(),
        unacked_stored: tried.count() - journal.acks.len(),
        stored: all().count(),
        delivered: journal.deliveries.values().map(given).sum(),
        receivers: journal.deliveries.len(),
        changed: all()
            .filter(|message| message.edited.is_some() || message.deleted.is_some())
            .count(),
        memberships: journal.changes.len(),
        cursors,
        shown: 0,
    }
}

/// The message with that sequence.
fn at(messages: &[Message], seq: u64) -> Option<&Message> {
    let index = messages.partition_point(|message| message.seq < seq);
    messages.get(index).filter(|message| message.seq == seq)
}

/// A violation at or before the message with that sequence.
fn near(promise: &'static str, what: String, messages: &[Message], seq: u64) -> Violation {
    let index = messages.partition_point(|message| message.seq < seq);
    violation(promise, what, messages, index)
}

fn violation(promise: &'static str, what: String, messages: &[Message], index: usize) -> Violation {
    let from = index.saturating_sub(3);
    let to = (index + 4).min(messages.len());
    let around = messages[from.min(to)..to].iter().map(line).collect();
    Violation {
        promise,
        what,
        around,
    }
}

/// A message of the history without its text, which may be long.
fn line(message: &Message) -> String {
    let Message {
        seq,
        prev,
        kind,
        id,
        sender,
        sent_at,
        ..
    } = message;
    let mut line = format!("seq {seq} prev {prev} {kind:?} {id} of {sender} at {sent_at}");
    for (name, value) in [
        ("target", message.target),
        ("edited", message.edited),
        ("deleted", message.deleted),
    ] {
        if let Some(value) = value {
            line += &format!(" {name} {value}");
        }
    }
    if let Some(event) = &message.event {
        line += &format!(" {event:?}");
    }
    line
}
