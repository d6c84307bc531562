//! Edits and deletions: judged by the order alone, so that all who know the same messages see the
//! same texts.

use std::collections::BTreeMap;

use natterjack_nats::{
    Conversation, UserId,
    wire::{Kind, Message},
};

use super::{Violation, at, near, violation};
use crate::check::journal::{Receiver, Stretch, TextHash};

const PROMISE: &str = "edits and deletions are the same everywhere";

/// A text as somebody knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    sender: UserId,
    text: Option<TextHash>,
    edited: Option<u64>,
    deleted: Option<u64>,
}

/// An edit or a deletion.
#[derive(Debug, Clone, Copy)]
struct Change {
    seq: u64,
    sender: UserId,
    target: u64,
    deletes: bool,
    text: Option<TextHash>,
}

impl Known {
    /// The first deletion counts and, without one, the last edit; a text is changed by its sender,
    /// and in a group also deleted by those whom the edge let do it.
    fn change(&mut self, change: &Change, in_group: bool) {
        let may = change.sender == self.sender || (change.deletes && in_group);
        if !may {
            return;
        }
        if change.deletes {
            self.deleted = Some(self.deleted.map_or(change.seq, |first| first.min(change.seq)));
            (self.text, self.edited) = (None, None);
        } else if self.deleted.is_none() && self.edited.is_none_or(|last| last < change.seq) {
            (self.text, self.edited) = (change.text, Some(change.seq));
        }
    }
}

/// Every text in history is what the changes behind it make of it.
pub(super) fn of_history(messages: &[Message]) -> Result<(), Violation> {
    let mut changes: BTreeMap<u64, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        if let (Kind::Edit | Kind::Delete, Some(target)) = (message.kind, message.target)
            && target < message.seq
        {
            changes.entry(target).or_default().push(message);
        }
    }
    for (index, text) in messages.iter().enumerate() {
        if text.kind != Kind::Text {
            continue;
        }
        let in_group = matches!(text.conversation, Conversation::Group(_));
        let behind = changes.get(&text.seq).map_or(&[][..], Vec::as_slice);
        let counts =
            |change: &&&Message| change.sender == text.sender || (in_group && change.kind == Kind::Delete);
        let first = |kind| {
            behind
                .iter()
                .filter(counts)
                .filter(move |change| change.kind == kind)
        };
        let deleted = first(Kind::Delete).map(|change| change.seq).min();
        let edit = first(Kind::Edit).max_by_key(|change| change.seq);
        let right = match (deleted, edit) {
            (Some(_), _) => text.deleted == deleted && text.text.is_none(),
            (None, Some(edit)) => {
                text.deleted.is_none() && text.edited == Some(edit.seq) && text.text == edit.text
            }
            (None, None) => text.deleted.is_none() && text.edited.is_none(),
        };
        if !right {
            let what = format!(
                "{} of {} is {:?} edited {:?} deleted {:?}, but its changes are {behind:?}",
                text.seq, text.conversation, text.text, text.edited, text.deleted
            );
            return Err(violation(PROMISE, what, messages, index));
        }
    }
    Ok(())
}

/// What a receiver makes of all that it was given is what history says.
pub(super) fn at_a_receiver(
    receiver: &Receiver,
    stretch: &Stretch,
    messages: &[Message],
) -> Result<(), Violation> {
    let in_group = matches!(receiver.conversation, Conversation::Group(_));
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let mut last = 0;
    for given in &stretch.given {
        last = given.seq;
        match (given.kind, given.target) {
            (Kind::Text, _) => {
                let text = Known {
                    sender: given.sender,
                    text: given.text,
                    edited: given.edited,
                    deleted: given.deleted,
                };
                known.insert(given.seq, text);
            }
            (Kind::Edit | Kind::Delete, Some(target)) => {
                let change = Change {
                    seq: given.seq,
                    sender: given.sender,
                    target,
                    deletes: given.kind == Kind::Delete,
                    text: given.text,
                };
                // An edit from history whose text is gone was deleted behind it: that follows.
                let silenced = given.kind == Kind::Edit && given.text.is_none();
                if let Some(text) = known.get_mut(&change.target).filter(|_| !silenced) {
                    text.change(&change, in_group);
                }
            }
            _ => {}
        }
    }
    for (seq, known) in known {
        let Some(stored) = at(messages, seq).filter(|stored| stored.kind == Kind::Text) else {
            continue;
        };
        // Changes beyond the last message that it was given are news to it.
        if stored.edited.max(stored.deleted) > Some(last) {
            continue;
        }
        let text = stored.text.as_deref().map(TextHash::of);
        if (known.text, known.deleted) != (text, stored.deleted) {
            let what = format!(
                "{} in {} knows {seq} as {known:?}, and history has it edited {:?} deleted {:?} with {text:?}",
                receiver.device, receiver.conversation, stored.edited, stored.deleted
            );
            return Err(near(PROMISE, what, messages, seq));
        }
    }
    Ok(())
}
