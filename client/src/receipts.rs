//! Receipts on their way to the server, gathered so that a burst of messages costs one frame.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::{
    Conversation,
    wire::{ClientFrame, Cursor},
};

/// For so long after it was sent a receipt may still be lost with its edge, which gathers receipts
/// too; a connection that breaks within it sends the receipt again.
const UNSURE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Receipts {
    delay: Duration,
    waiting: BTreeMap<Conversation, Cursor>,
    due: Option<Duration>,
    unsure: BTreeMap<Conversation, (Duration, Cursor)>,
}

impl Receipts {
    pub(crate) const fn new(delay: Duration) -> Self {
        Self {
            delay,
            waiting: BTreeMap::new(),
            due: None,
            unsure: BTreeMap::new(),
        }
    }

    /// The user has got so far.
    pub(crate) fn advance(&mut self, conversation: Conversation, cursor: Cursor, now: Duration) {
        let entry = self.waiting.entry(conversation).or_default();
        *entry = entry.advanced_to(cursor);
        self.due.get_or_insert(now + self.delay);
    }

    /// The frames that are due.
    pub(crate) fn take(&mut self, now: Duration) -> Vec<ClientFrame> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.take_all(now)
    }

    /// All frames, due or not.
    pub(crate) fn take_all(&mut self, now: Duration) -> Vec<ClientFrame> {
        self.due = None;
        self.unsure.retain(|_, (at, _)| *at + UNSURE > now);
        let waiting = std::mem::take(&mut self.waiting);
        let frame = |(conversation, cursor): (Conversation, Cursor)| {
            let unsure = self.unsure.entry(conversation).or_default();
            *unsure = (now, unsure.1.advanced_to(cursor));
            ClientFrame::Receipt {
                conversation,
                delivered: (cursor.delivered > 0).then_some(cursor.delivered),
                read: (cursor.read > 0).then_some(cursor.read),
            }
        };
        waiting.into_iter().map(frame).collect()
    }

    /// When the next frames are due.
    pub(crate) const fn deadline(&self) -> Option<Duration> {
        self.due
    }

    /// What was sent a moment ago may be lost.
    pub(crate) fn disconnected(&mut self, now: Duration) {
        for (conversation, (at, cursor)) in std::mem::take(&mut self.unsure) {
            if at + UNSURE > now {
                self.advance(conversation, cursor, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn cursor(delivered: u64, read: u64) -> Cursor {
        Cursor { delivered, read }
    }

    #[test]
    fn a_burst_is_one_frame_and_a_broken_connection_repeats_it() {
        let conversation = Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        let mut receipts = Receipts::new(200 * MS);
        for seq in 1..=50 {
            receipts.advance(conversation, cursor(seq, 0), MS);
        }
        receipts.advance(conversation, cursor(0, 7), 2 * MS);
        assert_eq!(receipts.deadline(), Some(201 * MS));
        assert!(receipts.take(200 * MS).is_empty());
        let frames = [ClientFrame::Receipt {
            conversation,
            delivered: Some(50),
            read: Some(7),
        }];
        assert_eq!(receipts.take(201 * MS), frames);
        assert!(receipts.take_all(300 * MS).is_empty());

        receipts.disconnected(1_000 * MS);
        assert_eq!(receipts.take(1_200 * MS), frames);
        receipts.disconnected(9_000 * MS);
        assert_eq!(receipts.deadline(), None);
    }
}
