//! What is stored: whole, once, as it was sent, where the ack said.

use std::collections::{HashMap, HashSet};

use natterjack_nats::{
    Conversation,
    wire::{Kind, Message},
};

use super::{History, Violation, at, near, violation};
use crate::check::journal::Journal;

pub(super) fn chain_is_whole(conversation: &Conversation, messages: &[Message]) -> Result<(), Violation> {
    let mut prev = 0;
    for (index, message) in messages.iter().enumerate() {
        let named = message.prev == prev && message.seq > prev && message.conversation == *conversation;
        if !named {
            let what = format!(
                "message {} of {conversation} names {} as its predecessor, which is {prev}",
                message.seq, message.prev
            );
            return Err(violation(
                "every message names its predecessor",
                what,
                messages,
                index,
            ));
        }
        prev = message.seq;
    }
    Ok(())
}

pub(super) fn once(messages: &[Message]) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        if message.kind != Kind::Duplicate && !seen.insert((message.sender, message.id)) {
            let what = format!("{} of {} stands in history twice", message.id, message.sender);
            return Err(violation(
                "a message is stored exactly once",
                what,
                messages,
                index,
            ));
        }
    }
    Ok(())
}

pub(super) fn nothing_invented(journal: &Journal, messages: &[Message]) -> Result<(), Violation> {
    for (index, message) in messages.iter().enumerate() {
        if matches!(message.kind, Kind::Event | Kind::Duplicate) {
            continue;
        }
        let attempt = journal.attempts.get(&message.id);
        let same = attempt.is_some_and(|attempt| {
            // An edit or a deletion changes the text, and a deletion takes that of its edits along;
            // whether rightly so is another rule.
            let untouched = message.edited.is_none() && message.deleted.is_none();
            let silenced = message.kind == Kind::Edit && message.text.is_none();
            attempt.sender == message.sender
                && attempt.conversation == message.conversation
                && attempt.kind == message.kind
                && attempt.target == message.target
                && (!untouched || silenced || attempt.text == message.text)
        });
        if !same {
            let what = format!(
                "{} of {} was never sent like that: {attempt:?}",
                message.id, message.sender
            );
            return Err(violation("nothing is invented", what, messages, index));
        }
    }
    Ok(())
}

/// What a device sends one by one is stored in the order in which it was handed over.
pub(super) fn in_the_order_of_each_device(journal: &Journal, messages: &[Message]) -> Result<(), Violation> {
    let mut last = HashMap::new();
    for (index, message) in messages.iter().enumerate() {
        let attempt = journal.attempts.get(&message.id);
        let attempt = attempt.filter(|_| message.kind != Kind::Duplicate);
        let Some((device, at)) =
            attempt.and_then(|attempt| Some((attempt.in_order_on.as_ref()?, attempt.at)))
        else {
            continue;
        };
        let before = last.insert(device, at);
        if let Some(before) = before.filter(|before| *before > at) {
            let what = format!(
                "{} was handed over on {device} at {at:?} and stands behind one of {before:?}",
                message.id
            );
            return Err(violation(
                "what a device sends is stored in its order",
                what,
                messages,
                index,
            ));
        }
    }
    Ok(())
}

pub(super) fn one_ack_per_message(journal: &Journal) -> Result<(), Violation> {
    journal.second_acks.first().map_or(Ok(()), |(id, first, second)| {
        Err(Violation {
            promise: "a retry gets the first ack again",
            what: format!("{id} was acknowledged as {first} and as {second}"),
            around: Vec::new(),
        })
    })
}

pub(super) fn acked_is_stored(journal: &Journal, history: &History) -> Result<(), Violation> {
    const PROMISE: &str = "an acknowledged message is stored where the ack said";
    for (id, ack) in &journal.acks {
        let attempt = journal.attempts.get(id);
        let messages = attempt
            .and_then(|attempt| history.get(&attempt.conversation))
            .map_or(&[][..], Vec::as_slice);
        let found = at(messages, ack.seq);
        if found.is_none_or(|message| message.id != *id || message.kind == Kind::Duplicate) {
            let what = format!(
                "{id} was acknowledged as {} after {:?} and is not there: {attempt:?}; there is {}",
                ack.seq,
                ack.at,
                found.map_or_else(|| "nothing".into(), super::line)
            );
            return Err(near(PROMISE, what, messages, ack.seq));
        }
    }
    Ok(())
}

/// Errors other than `timeout` say that nothing was stored.
pub(super) fn refused_is_not_stored(journal: &Journal, history: &History) -> Result<(), Violation> {
    for (id, why) in &journal.refused {
        let Some(attempt) = journal.attempts.get(id) else {
            continue;
        };
        let messages = history.get(&attempt.conversation).map_or(&[][..], Vec::as_slice);
        let found = messages.iter().position(|message| message.id == *id);
        if let Some(index) = found {
            let what = format!("{id} was refused ({why}) and is stored: {attempt:?}");
            return Err(violation("what is refused is not stored", what, messages, index));
        }
    }
    Ok(())
}

/// A message that was handed over when the quorum was gone can have no ack before it is back.
pub(super) fn nothing_acked_without_quorum(journal: &Journal) -> Result<(), Violation> {
    for (id, ack) in &journal.acks {
        let Some(attempt) = journal.attempts.get(id) else {
            continue;
        };
        let gone = journal
            .without_quorum
            .iter()
            .find(|span| span.from < attempt.at && ack.at < span.to);
        if let Some(span) = gone {
            return Err(Violation {
                promise: "without a quorum nothing is acknowledged",
                what: format!(
                    "{id} was handed over at {:?} and acknowledged at {:?}, and the quorum was gone from {:?} to {:?}",
                    attempt.at, ack.at, span.from, span.to
                ),
                around: Vec::new(),
            });
        }
    }
    Ok(())
}
