//! What takes the place of a message that was refused for good.

use serde::{Deserialize, Serialize};

use super::{WireError, message::Stored};
use crate::{
    conversation::Conversation,
    ids::{MessageId, UserId},
};

/// A refusal, stored under the message's own `Nats-Msg-Id` so that an earlier try of the message,
/// which may still be on its way, is not stored any more.
///
/// It lies beside the conversations of its shard ([`void`](crate::subjects::chat::void)) and in none of
/// them: nobody is shown it, and history does not keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// Where the message was to go.
    pub conversation: Conversation,
    /// The client's id for it.
    pub id: MessageId,
    /// Who wanted to send it.
    pub sender: UserId,
    /// When it was refused, Unix milliseconds.
    pub refused_at: u64,
    /// What the client was told, and is told again.
    pub error: WireError,
}

impl Void {
    /// In place of `message`.
    #[must_use]
    pub const fn of(message: &Stored, refused_at: u64, error: WireError) -> Self {
        Self {
            conversation: message.conversation,
            id: message.id,
            sender: message.sender,
            refused_at,
            error,
        }
    }
}
