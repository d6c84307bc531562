//! `svc.history.<verb>`: pages of messages, look-up of a message id, and sync.

use serde::{Deserialize, Serialize};

use super::{names, verbs};
use crate::{
    conversation::Conversation,
    ids::{MessageId, UserId},
    wire::{Fingerprint, HistoryQuery, Message, Page},
};

/// A page of a conversation: rows from Postgres plus the stream's tail beyond the watermark.
///
/// While Postgres is away, a page `after` a sequence that the stream still covers is answered from
/// the stream alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadPage {
    /// Who reads.
    pub user: UserId,
    /// Whether the edge knows the user to be a member; believed only while Postgres, which knows,
    /// is away.
    pub member: bool,
    /// Which page.
    pub query: HistoryQuery,
}

/// Has this message been sent before, whenever that was?
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LookUp {
    /// Where.
    pub conversation: Conversation,
    /// By whom.
    pub sender: UserId,
    /// Under which id.
    pub id: MessageId,
}

/// A message that was sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its place.
    pub seq: u64,
    /// What a retry must match.
    pub fingerprint: Fingerprint,
}

/// Who sent a message, and whether it can be edited or deleted by `user`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspect {
    /// Who wants to edit or delete.
    pub user: UserId,
    /// Where.
    pub conversation: Conversation,
    /// Which message.
    pub target: u64,
}

/// The answer to [`Inspect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Who sent the message.
    pub sender: UserId,
    /// Whether it is a text that still stands.
    pub standing_text: bool,
    /// Whether `user` may delete anybody's messages there.
    pub moderator: bool,
}

/// Everything after a cursor in all conversations of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sync {
    /// Whose.
    pub user: UserId,
    /// One sequence per shard; `None` asks for a cursor at the present.
    pub cursor: Option<Vec<u64>>,
    /// At most so many messages.
    pub limit: usize,
}

/// The answer to [`Sync`]: complete up to `cursor`, in order within each conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Synced {
    /// What follows the cursor that was given.
    pub messages: Vec<Message>,
    /// Asks for what follows.
    pub cursor: Vec<u64>,
    /// Whether there is more already.
    pub more: bool,
}

verbs! { names::HISTORY =>
    ReadPage as "page" -> Page;
    LookUp as "look_up" -> Option<Found>;
    Inspect as "inspect" -> Inspected;
    Sync as "sync" -> Synced;
}
