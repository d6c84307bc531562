//! Who may send.

use std::time::Duration;

use natterjack_nats::{
    Conversation,
    wire::{Event, Kind, Message},
};

use super::{Violation, violation};
use crate::check::journal::Journal;

/// How long after a removal was answered the removed may still get something stored, if the server
/// is not disturbed meanwhile; see `docs/protocol.md`.
pub const SENDS_REFUSED_WITHIN: Duration = Duration::from_secs(15);

/// Nothing of a removed member is stored that was handed over after the bound.
pub(super) fn may_send(
    journal: &Journal,
    conversation: &Conversation,
    messages: &[Message],
) -> Result<(), Violation> {
    if !matches!(conversation, Conversation::Group(_)) {
        return Ok(());
    }
    let mut out = std::collections::BTreeMap::new();
    let mut removals = std::collections::BTreeMap::<_, usize>::new();
    for (index, message) in messages.iter().enumerate() {
        match &message.event {
            Some(Event::MemberRemoved { user }) => {
                let count = removals.entry(*user).or_default();
                let change = journal.changes_of(*conversation, *user, false).nth(*count);
                *count += 1;
                out.insert(*user, change.and_then(|change| change.answered));
            }
            Some(Event::MemberAdded { user, .. }) => {
                out.remove(user);
            }
            _ => {}
        }
        let (Kind::Text | Kind::Edit | Kind::Delete, Some(Some(answered))) =
            (message.kind, out.get(&message.sender))
        else {
            continue;
        };
        let deadline = journal.calm_after(*answered, SENDS_REFUSED_WITHIN);
        let attempt = journal.attempts.get(&message.id);
        if let Some(attempt) = attempt.filter(|attempt| attempt.at > deadline) {
            let what = format!(
                "{} of {} was handed over at {:?}; the removal was answered at {answered:?}",
                message.id, message.sender, attempt.at
            );
            return Err(violation(
                "who was removed sends nothing more",
                what,
                messages,
                index,
            ));
        }
    }
    Ok(())
}
