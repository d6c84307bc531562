//! The answer of `GET /v1/sync`: what a resumed socket would hear, for networks that break sockets.

use serde::{Deserialize, Serialize};

use super::{Message, people::ConversationSummary};

/// What follows a sync cursor, in all conversations of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPage {
    /// Asks for what follows; opaque.
    pub cursor: String,
    /// In order within each conversation, as a resume would deliver them.
    pub messages: Vec<Message>,
    /// Whether there is more already: ask again at once.
    #[serde(default)]
    pub more: bool,
    /// In the answer to a request without a cursor: the most recent conversations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversations: Option<Vec<ConversationSummary>>,
    /// Asks for the next page of conversations; absent if these are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
