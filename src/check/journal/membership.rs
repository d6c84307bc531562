//! Who was let into groups and put out of them, and when the server was in a state to hear of it.

use std::time::Duration;

use natterjack_nats::{Conversation, UserId};

use super::Journal;

/// A change of a group that somebody asked for and that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The group.
    pub group: Conversation,
    /// Who came or went.
    pub user: UserId,
    /// Whether the user came.
    pub joined: bool,
    /// When it was first asked for: it was not so before.
    pub asked: Duration,
    /// When the server said that it is so; `None` if nobody heard.
    pub answered: Option<Duration>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its begin.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
}

impl Journal {
    /// Somebody was let into a group or put out of it. In the order in which it happened, for each
    /// user and group.
    pub fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// A part of the server was disturbed.
    pub fn disturbed(&mut self, span: Span) {
        self.disturbed.push(span);
        self.disturbed.sort_unstable_by_key(|span| span.from);
    }

    /// More than half of the stream's servers were gone.
    pub fn without_quorum(&mut self, span: Span) {
        self.without_quorum.push(span);
    }

    /// The changes of one user in one group: those in, those out, in order.
    pub(in crate::check) fn changes_of(
        &self,
        group: Conversation,
        user: UserId,
        joined: bool,
    ) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(move |change| change.group == group && change.user == user && change.joined == joined)
    }

    /// The first moment after `since` at which the server had been undisturbed for `calm`.
    pub(in crate::check) fn calm_after(&self, since: Duration, calm: Duration) -> Duration {
        let mut from = since;
        for span in &self.disturbed {
            if span.from < from + calm && span.to > from {
                from = span.to;
            }
        }
        from + calm
    }
}
