//! Frames from a client.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    conversation::Conversation,
    ids::{DeviceId, MessageId, UserId},
};

/// A frame from a client. Unknown fields are ignored; an unknown type is answered with the error
/// `unknown_type` and the session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame, within 10 s.
    Hello(Box<Hello>),
    /// A text. Answered with `ack` once it is on disk, or `error`.
    Send {
        /// The message's id, kept across retries; also the id of the answer.
        id: MessageId,
        /// Where to.
        conversation: Conversation,
        /// 1 to 100,000 characters.
        text: String,
        /// Sequence of the message that this one answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
    },
    /// A new text for a message of one's own. Answered like `send`.
    Edit {
        /// The edit's own id.
        id: MessageId,
        /// Where.
        conversation: Conversation,
        /// Sequence of the message.
        target: u64,
        /// Its new text.
        text: String,
    },
    /// Takes the text of a message of one's own, or of anyone's for a group's admins. Answered
    /// like `send`.
    Delete {
        /// The deletion's own id.
        id: MessageId,
        /// Where.
        conversation: Conversation,
        /// Sequence of the message.
        target: u64,
    },
    /// How far this user has got. Coalesced; answered only on error.
    Receipt {
        /// Where.
        conversation: Conversation,
        /// Highest sequence that arrived.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivered: Option<u64>,
        /// Highest sequence that was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<u64>,
    },
    /// The user is writing (`true`), or has stopped. Ephemeral; never answered.
    Typing {
        /// Where.
        conversation: Conversation,
        /// Whether.
        #[serde(default = "yes")]
        active: bool,
    },
    /// A page of history. Answered with `history`.
    History {
        /// Echoed in the answer; any text of up to 64 bytes.
        id: String,
        /// Which page.
        #[serde(flatten)]
        query: HistoryQuery,
    },
    /// The conversation list, a page at a time. Answered with `conversations`.
    Conversations {
        /// Echoed in the answer.
        id: String,
        /// The `next` of the page before; absent for the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<String>,
    },
    /// A fresh access token before the old one expires. Answered with `ok`.
    Token {
        /// Echoed in the answer.
        id: String,
        /// The new token.
        token: String,
    },
    /// The people whose presence the client shows: all of them, each time. Answered with `presence`
    /// for each, and followed by `presence` for whoever changes, until the next `watch`.
    Watch {
        /// Echoed in the answer.
        id: String,
        /// At most 1,000; none ends it.
        users: Vec<UserId>,
    },
    /// Whether the app is in the foreground from now on. Not answered.
    Active {
        /// Whether.
        active: bool,
    },
    /// Are you there? Answered with `pong`.
    Ping {
        /// Echoed in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
}

const fn yes() -> bool {
    true
}

/// Who is there, and what it has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The access token.
    pub token: String,
    /// The device, where the token does not name it (tokens of an outside provider).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<HelloDevice>,
    /// Name and version of the client, for the operator's eyes.
    #[serde(default)]
    pub client: String,
    /// Highest sequence that the client has in each conversation. Present, perhaps empty, on a
    /// device that was here before: all that follows the cursors is delivered, from the start
    /// where there is none. Absent on a new device: nothing is replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<BTreeMap<Conversation, u64>>,
    /// Whether the app is in the foreground.
    #[serde(default = "yes")]
    pub active: bool,
}

/// A device as it introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloDevice {
    /// Made by the client once, and kept; absent where the server is to make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceId>,
    /// Its name, as its owner knows it.
    #[serde(default)]
    pub name: String,
    /// What it runs on.
    #[serde(default)]
    pub platform: String,
}

/// Which page of history: at most one of `before`, `after`, `around` and `at`; none means the newest.
/// A page is ascending and bounded in count and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Of which conversation.
    pub conversation: Conversation,
    /// The messages right before this sequence, not included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// The messages right after this sequence, not included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The messages on both sides of this sequence, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<u64>,
    /// The messages on both sides of the first one that was sent at or after this time (Unix ms), included;
    /// the newest, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// At most so many; the server's limit holds too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}
