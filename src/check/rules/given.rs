//! What receivers were given: the same as everybody, in the one order, without a hole, and only
//! where they belong.

use natterjack_nats::{
    Conversation,
    wire::{Event, Kind, Message},
};

use super::{Violation, at, near, violation};
use crate::check::journal::{Journal, Receiver, Stretch};

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
    const PROMISE: &str = "nobody is given anything of a conversation that they are not in";
    let group = receiver.conversation;
    let (Some(user), false) = (journal.owner(receiver), stretch.given.is_empty()) else {
        return Ok(());
    };
    if group.admits(user) == Some(false) {
        let what = format!("{} of {user} was given messages of {group}", receiver.device);
        return Err(violation(PROMISE, what, messages, 0));
    }
    if !matches!(group, Conversation::Group(_)) {
        return Ok(());
    }
    let out = removals(messages, user);
    // The nth removal ended what the nth arrival began.
    let arrivals: Vec<_> = journal.changes_of(group, user, true).collect();
    if arrivals.is_empty() {
        // Nobody kept a record of this group's members.
        return Ok(());
    }
    for given in &stretch.given {
        // Removals that lie before this message, each of which has to be undone by then.
        let before = out.partition_point(|seq| *seq < given.seq);
        if before == 0 {
            continue;
        }
        let back = arrivals.get(before);
        if back.is_none_or(|change| change.asked > given.at) {
            let what = format!(
                "{} of {user} was given {} at {:?} and had been removed by {}; let in again: {back:?}",
                receiver.device,
                given.seq,
                given.at,
                out[before - 1]
            );
            return Err(near(PROMISE, what, messages, given.seq));
        }
    }
    Ok(())
}

/// Where a user was put out of a group.
pub(super) fn removals(messages: &[Message], user: natterjack_nats::UserId) -> Vec<u64> {
    let gone = |message: &&Message| matches!(message.event, Some(Event::MemberRemoved { user: gone }) if gone == user);
    messages.iter().filter(gone).map(|message| message.seq).collect()
}
