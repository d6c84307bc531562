//! Read cursors and unread counts.

use natterjack_nats::wire::{Event, Kind, Message};

use super::{History, Violation, violation};
use crate::check::journal::Journal;

/// The server counts no further.
const UNREAD_MAX: usize = natterjack_nats::limits::UNREAD_MAX as usize;

pub(super) fn never_fall(journal: &Journal) -> Result<(), Violation> {
    let Some((device, conversation, before, after)) = &journal.seen.fell else {
        return Ok(());
    };
    Err(Violation {
        promise: "cursors only rise",
        what: format!("{device} was told {before:?} of {conversation}, and later {after:?}"),
        around: Vec::new(),
    })
}

/// Nobody is told that a user has read more than the user said. Who comes into a group starts with
/// all that was there as read.
pub(super) fn nothing_invented(journal: &Journal, history: &History) -> Result<(), Violation> {
    for ((user, conversation), told) in &journal.seen.highest {
        let messages = history.get(conversation).map_or(&[][..], Vec::as_slice);
        let came = |message: &&Message| matches!(message.event, Some(Event::MemberAdded { user: new, .. }) if new == *user);
        let came = messages.iter().rfind(came).map_or(0, |message| message.seq);
        let said = journal
            .seen
            .said
            .get(&(*user, *conversation))
            .copied()
            .unwrap_or_default();
        if told.read > said.read.max(came) {
            return Err(Violation {
                promise: "a cursor is where its user put it",
                what: format!("{user} read up to {said:?} in {conversation}, and somebody was told {told:?}"),
                around: Vec::new(),
            });
        }
    }
    Ok(())
}

/// At rest, a user has as many unread texts as history has behind the read cursor; answers how many
/// were compared.
pub(super) fn at_rest(journal: &Journal, history: &History) -> Result<usize, Violation> {
    for ((user, conversation), told) in &journal.seen.last {
        let messages = history.get(conversation).map_or(&[][..], Vec::as_slice);
        let unread = |message: &&Message| {
            message.seq > told.cursor.read
                && message.kind == Kind::Text
                && message.deleted.is_none()
                && message.sender != *user
        };
        let unread = messages.iter().filter(unread).count().min(UNREAD_MAX);
        if usize::try_from(told.unread) != Ok(unread) {
            let what = format!("{user} was told {told:?} of {conversation}, where {unread} are unread");
            return Err(violation(
                "the unread count is what lies behind the cursor",
                what,
                messages,
                messages.len(),
            ));
        }
    }
    Ok(journal.seen.last.len())
}
