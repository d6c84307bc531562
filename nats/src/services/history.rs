//! `svc.history.<verb>`: pages of messages, look-up of a message id, sync, and what could not be written.

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

/// Where a message that could not be written was stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterPlace {
    /// In which stream; `outbox` for an event that was never stored.
    pub stream: String,
    /// Its sequence there; the number of its row, for `outbox`.
    pub seq: u64,
}

/// Messages that could not be written, ordered by stream and sequence; for operators.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Dead {
    /// Those after this one; from the first on if absent.
    #[serde(default)]
    pub after: Option<LetterPlace>,
    /// At most so many; 100 if absent, and never more than that.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// A message that could not be written, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it was stored.
    #[serde(flatten)]
    pub place: LetterPlace,
    /// Its subject, which names its conversation.
    pub subject: String,
    /// What is wrong with it.
    pub error: String,
    /// When that was found, Unix milliseconds.
    pub at: u64,
    /// Size of its payload.
    pub bytes: u64,
}

/// The answer to [`Dead`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadPage {
    /// In order.
    pub letters: Vec<DeadLetter>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// Tries again to write what could not be written: after whatever was in its way has gone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Replay {
    /// This one; the first hundred of all if absent.
    #[serde(default)]
    pub place: Option<LetterPlace>,
    /// Not at its old place, but as a new message at the end of its conversation: where another message
    /// has its place. Its sender and id are kept, so that one that is there already is not sent twice.
    #[serde(default)]
    pub anew: bool,
}

/// The answer to [`Replay`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// So many are in the history now, or on their way there.
    pub replayed: u64,
    /// These still cannot be written, and are kept.
    pub failed: Vec<DeadLetter>,
    /// So many are left in all, those that failed among them.
    pub left: u64,
}

verbs! { names::HISTORY =>
    ReadPage as "page" -> Page;
    LookUp as "look_up" -> Option<Found>;
    Inspect as "inspect" -> Inspected;
    Sync as "sync" -> Synced;
    Dead as "dead" -> DeadPage;
    Replay as "replay" -> Replayed;
}
