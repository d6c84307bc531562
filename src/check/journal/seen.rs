//! Cursors and unread counts: what users said, and what they were told.

use std::collections::{BTreeMap, btree_map::Entry};

use natterjack_nats::{
    Conversation, UserId,
    wire::{ConversationSummary, Cursor},
};

use super::Journal;

/// Cursors and unread counts of a run.
#[derive(Debug, Default)]
pub(in crate::check) struct Seen {
    /// The furthest that any device of a user said.
    pub(in crate::check) said: BTreeMap<(UserId, Conversation), Cursor>,
    /// The furthest that a device was told of its own user.
    told: BTreeMap<(String, Conversation), Cursor>,
    /// The furthest that anybody was told of a user.
    pub(in crate::check) highest: BTreeMap<(UserId, Conversation), Cursor>,
    /// The first time that a device was told less than before.
    pub(in crate::check) fell: Option<(String, Conversation, Cursor, Cursor)>,
    /// What each user was told when everything had come to rest.
    pub(in crate::check) last: BTreeMap<(UserId, Conversation), Told>,
}

/// What a user was told of one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// How far the user has got.
    pub cursor: Cursor,
    /// How many texts of others lie beyond.
    pub unread: u32,
}

impl Journal {
    /// A device is about to say how far its user has got.
    pub fn says(&mut self, user: UserId, conversation: Conversation, cursor: Cursor) {
        let said = self.seen.said.entry((user, conversation)).or_default();
        *said = said.advanced_to(cursor);
    }

    /// A device was told how far its user has got, as the conversation list has it. The answers to
    /// one device come in the order of its questions, so that they never fall.
    pub fn listed(&mut self, device: &str, user: UserId, summary: &ConversationSummary) {
        let (conversation, cursor) = (summary.conversation, summary.cursor);
        match self.seen.told.entry((device.into(), conversation)) {
            Entry::Vacant(entry) => {
                entry.insert(cursor);
            }
            Entry::Occupied(mut entry) => {
                let before = *entry.get();
                let falls = cursor.read < before.read || cursor.delivered < before.delivered;
                if falls && self.seen.fell.is_none() {
                    self.seen.fell = Some((device.into(), conversation, before, cursor));
                }
                entry.insert(before.advanced_to(cursor));
            }
        }
        self.heard_of(user, conversation, cursor);
        if let (Some(peer), Some(cursor)) = (&summary.peer, summary.peer_cursor) {
            self.heard_of(peer.id, conversation, cursor);
        }
    }

    /// Somebody was told how far a user has got.
    pub fn heard_of(&mut self, user: UserId, conversation: Conversation, cursor: Cursor) {
        let highest = self.seen.highest.entry((user, conversation)).or_default();
        *highest = highest.advanced_to(cursor);
    }

    /// What a user is told once everything has come to rest.
    pub fn rests(&mut self, user: UserId, conversation: Conversation, told: Told) {
        self.heard_of(user, conversation, told.cursor);
        self.seen.last.insert((user, conversation), told);
    }
}
