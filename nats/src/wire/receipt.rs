//! Delivered and read cursors: two numbers per user and conversation, never a row per message.

use serde::{Deserialize, Serialize};

use crate::{conversation::Conversation, ids::UserId};

/// How far a user has got in a conversation. Read implies delivered; neither ever falls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Highest sequence that reached one of the user's devices.
    #[serde(default)]
    pub delivered: u64,
    /// Highest sequence that the user has read.
    #[serde(default)]
    pub read: u64,
}

impl Cursor {
    /// Both cursors moved forward to cover `other`; read pulls delivered along.
    #[must_use]
    pub fn advanced_to(self, other: Self) -> Self {
        let read = self.read.max(other.read);
        Self {
            delivered: self.delivered.max(other.delivered).max(read),
            read,
        }
    }
}

/// One user's cursor in one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptOf {
    /// Where.
    pub conversation: Conversation,
    /// Whose.
    pub user: UserId,
    /// How far.
    #[serde(flatten)]
    pub cursor: Cursor,
    /// Highest sequence that a device confirmed while its app was in the foreground: such a message is
    /// not pushed. 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub foreground: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(seq: &u64) -> bool {
    *seq == 0
}

/// What an edge collected for the conversations of one shard: the payload on `receipt.<shard>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBatch {
    /// At most one entry per user and conversation.
    pub receipts: Vec<ReceiptOf>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        (any::<u64>(), any::<u64>()).prop_map(|(delivered, read)| Cursor { delivered, read })
    }

    proptest! {
        #[test]
        fn cursors_only_rise_and_read_implies_delivered(a in any_cursor(), b in any_cursor()) {
            let c = a.advanced_to(b);
            prop_assert!(c.read >= a.read && c.read >= b.read && c.delivered >= a.delivered && c.delivered >= b.delivered);
            prop_assert!(c.delivered >= c.read);
            prop_assert_eq!(c, b.advanced_to(a));
            prop_assert_eq!(c.advanced_to(a), c);
        }
    }
}
