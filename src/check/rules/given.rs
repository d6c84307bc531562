//! What receivers were given: the same as everybody, in the one order, without a hole, and only
//! where they belong.

use std::time::Duration;

use natterjack_nats::{
    Conversation, UserId,
    wire::{Event, Kind, Message},
};

use super::{History, Violation, at, near, violation};
use crate::check::journal::{Journal, Receiver, Stretch};

const MEMBERS: &str = "nobody is given anything of a conversation that they are not in";

/// Every delivery is the stored message, and names the predecessor that history names.
pub(super) fn as_stored(
    receiver: &Receiver,
    stretch: &Stretch,
    messages: &[Message],
) -> Result<(), Violation> {
    const PROMISE: &str = "what is given is what is stored, with its predecessor";
    for given in &stretch.given {
        let same = at(messages, given.seq).is_some_and(|message| {
            // A second copy is only known as one once it is written to the history.
            let kind = message.kind == given.kind || message.kind == Kind::Duplicate;
            let target = message.target == given.target || message.kind == Kind::Duplicate;
            message.id == given.id
                && message.sender == given.sender
                && message.prev == given.prev
                && kind
                && target
        });
        if !same {
            let what = format!("{} was given {given:?}", receiver.device);
            return Err(near(PROMISE, what, messages, given.seq));
        }
    }
    Ok(())
}

pub(super) fn in_order_without_hole(
    journal: &Journal,
    receiver: &Receiver,
    stretch: &Stretch,
    messages: &[Message],
) -> Result<(), Violation> {
    const PROMISE: &str = "every receiver is given everything, once, in the one order";
    let until = stretch.until.unwrap_or(u64::MAX);
    let first = messages.partition_point(|message| message.seq <= stretch.after);
    let end = messages.partition_point(|message| message.seq <= until);
    let due = &messages[first..end.max(first)];
    let excused = journal.is_excused(receiver);
    let mut given = stretch.given.iter();
    for (offset, message) in due.iter().enumerate() {
        let next = given.next().map(|delivery| (delivery.seq, delivery.id));
        if next.is_none() && excused {
            return Ok(());
        }
        if next != Some((message.seq, message.id)) {
            let what = format!(
                "{} in {} was to be given {} next and got {next:?}; it was given {} of {} messages after {}",
                receiver.device,
                receiver.conversation,
                message.seq,
                stretch.given.len(),
                due.len(),
                stretch.after,
            );
            return Err(violation(PROMISE, what, messages, first + offset));
        }
    }
    // What came beyond `until` is right as long as it is real and in order.
    let mut rest = messages[end.max(first)..].iter();
    for delivery in given {
        if !rest.any(|message| (message.seq, message.id) == (delivery.seq, delivery.id)) {
            let what = format!(
                "{} was given {delivery:?}, which is not in history there",
                receiver.device
            );
            return Err(violation(PROMISE, what, messages, messages.len()));
        }
    }
    Ok(())
}

/// A 1:1 chat is for its two, a log for its user. A member who is removed hears of it and nothing
/// after it, until somebody lets them in again.
pub(super) fn to_members_only(
    journal: &Journal,
    receiver: &Receiver,
    stretch: &Stretch,
    messages: &[Message],
) -> Result<(), Violation> {
    let group = receiver.conversation;
    let (Some(user), false) = (journal.owner(receiver), stretch.given.is_empty()) else {
        return Ok(());
    };
    if group.admits(user) == Some(false) {
        let what = format!("{} of {user} was given messages of {group}", receiver.device);
        return Err(violation(MEMBERS, what, messages, 0));
    }
    if !matches!(group, Conversation::Group(_)) {
        return Ok(());
    }
    for given in &stretch.given {
        honours_membership(journal, receiver, given.seq, given.at, messages)?;
    }
    Ok(())
}

/// Pages of history show what is stored.
pub(super) fn pages_as_stored(journal: &Journal, history: &History) -> Result<(), Violation> {
    for ((conversation, seq), row) in &journal.paged {
        let messages = history.get(conversation).map_or(&[][..], Vec::as_slice);
        if !at(messages, *seq).is_some_and(|stored| row.is(stored)) {
            let what = format!("a page of {conversation} had {row:?} at {seq}");
            return Err(near("a page shows what is stored", what, messages, *seq));
        }
    }
    Ok(())
}

/// Pages of history are for members too.
pub(super) fn pages_to_members_only(journal: &Journal, history: &History) -> Result<(), Violation> {
    for (receiver, last, when) in &journal.pages {
        if let Some(messages) = history.get(&receiver.conversation) {
            honours_membership(journal, receiver, *last, *when, messages)?;
        }
    }
    Ok(())
}

/// Whether a receiver was in the group by the time it was given the message with that sequence.
fn honours_membership(
    journal: &Journal,
    receiver: &Receiver,
    seq: u64,
    when: Duration,
    messages: &[Message],
) -> Result<(), Violation> {
    let group = receiver.conversation;
    let Some(user) = journal.owner(receiver) else {
        return Ok(());
    };
    // Removals that lie before this message, each of which has to be undone by then: the nth ended
    // what the nth arrival began.
    let out = removals(messages, user, seq);
    let Some(last) = out.last() else { return Ok(()) };
    let arrivals: Vec<_> = journal.changes_of(group, user, true).collect();
    if arrivals.is_empty() {
        // Nobody kept a record of this group's members.
        return Ok(());
    }
    let back = arrivals.get(out.len());
    if back.is_none_or(|change| change.asked > when) {
        let what = format!(
            "{} of {user} was given {seq} of {group} at {when:?} and had been removed by {last}; let in again: {back:?}",
            receiver.device,
        );
        return Err(near(MEMBERS, what, messages, seq));
    }
    Ok(())
}

/// Where a user was put out of a group, before `seq`.
fn removals(messages: &[Message], user: UserId, seq: u64) -> Vec<u64> {
    let gone = |message: &&Message| matches!(message.event, Some(Event::MemberRemoved { user: gone }) if gone == user);
    let before = messages.partition_point(|message| message.seq < seq);
    messages[..before]
        .iter()
        .filter(gone)
        .map(|message| message.seq)
        .collect()
}
