//! Frames from an edge.

use serde::{Deserialize, Serialize};

use super::{
    Cursor,
    error::WireError,
    message::Message,
    people::{ConversationSummary, Profile},
    presence::UserPresence,
};
use crate::{
    conversation::Conversation,
    ids::{DeviceId, EdgeId, MessageId, SessionId, UserId},
    limits,
};

/// A frame from an edge. With an `id` it answers the client's frame of that id; without one it is
/// a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Ready(Box<Ready>),
    /// A message is on disk.
    Ack {
        /// The message's id.
        id: MessageId,
        /// Its place.
        seq: u64,
    },
    /// A message, live or replayed.
    Message(Box<Message>),
    /// Cursors of users in a conversation moved. Ephemeral. Of one's own user: read elsewhere.
    Receipts {
        /// Where.
        conversation: Conversation,
        /// Whose, and how far; at most one entry a user.
        cursors: Vec<UserCursor>,
    },
    /// A user is writing, or has stopped. Ephemeral; forget it after 6 s.
    Typing {
        /// Where.
        conversation: Conversation,
        /// Who.
        user: UserId,
        /// Whether.
        active: bool,
    },
    /// A device in the foreground has not confirmed a message in time. Whoever has it says so again, with
    /// `receipt`; whoever has not asks for what lies between its cursor and the head.
    Nudge {
        /// Where.
        conversation: Conversation,
        /// The message's sequence.
        head: u64,
    },
    /// Whether people are there: the answer to `watch`, with an `id`, or what changed since. Ephemeral:
    /// the last one counts.
    Presence {
        /// Of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// At most one entry a user.
        users: Vec<UserPresence>,
    },
    /// The edge goes away: it closes this connection with 3001 once all that it took is answered.
    /// Connect to another one; where there is none, to the same address again.
    Draining {
        /// Other edges by their URL, the best first; perhaps none.
        edges: Vec<String>,
        /// Within which time the connection is closed, in milliseconds.
        within_ms: u64,
    },
    /// There is more between the client's cursor and the head than a resume replays: live
    /// messages follow from `head` on, and the client pages the rest from history.
    Truncated {
        /// Where.
        conversation: Conversation,
        /// The cursor up to which the client has everything.
        cursor: u64,
        /// The sequence from which on live delivery goes on.
        head: u64,
    },
    /// The resume is done: every conversation was replayed up to its head or called truncated.
    Resumed {
        /// Whether all conversations that are behind were looked at; if not, the client finds the
        /// others by paging the conversation list.
        complete: bool,
    },
    /// A page of history.
    History {
        /// Of the request.
        id: String,
        /// The page.
        #[serde(flatten)]
        page: Page,
    },
    /// A page of the conversation list.
    Conversations {
        /// Of the request.
        id: String,
        /// Most recent first.
        conversations: Vec<ConversationSummary>,
        /// Asks for the next page; absent on the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// Done, with nothing more to say.
    Ok {
        /// Of the request.
        id: String,
    },
    /// The answer to `ping`.
    Pong {
        /// Of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// Something is wrong, with the request of that id if there is one.
    Error {
        /// Of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// What.
        #[serde(flatten)]
        error: WireError,
    },
}

/// A user's cursor, in a frame that names the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCursor {
    /// Whose.
    pub user: UserId,
    /// How far.
    #[serde(flatten)]
    pub cursor: Cursor,
}

/// All that a client needs to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The user.
    pub user: Profile,
    /// This connection.
    pub session: SessionId,
    /// This device.
    pub device: DeviceId,
    /// The edge that holds the connection.
    pub edge: EdgeId,
    /// Name and version of the server.
    pub server: String,
    /// What the server takes.
    pub limits: Limits,
    /// How often the server pings; a client that hears nothing for one and a half intervals
    /// reconnects.
    pub ping_interval_ms: u64,
    /// When the access token expires, Unix milliseconds: send a fresh one before.
    pub token_expires_at: u64,
    /// The server's clock, Unix milliseconds.
    pub now: u64,
    /// The most recent conversations.
    pub conversations: Vec<ConversationSummary>,
    /// Asks for the next page of conversations; absent if these are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Limits, told and not guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest text, in Unicode scalar values.
    pub text_chars_max: usize,
    /// Largest frame, in bytes.
    pub frame_bytes_max: usize,
    /// Most messages in a page of history.
    pub page_messages_max: usize,
    /// Most messages that a resume replays in one conversation.
    pub resume_messages_max: usize,
    /// Longest name or title, in Unicode scalar values.
    pub name_chars_max: usize,
    /// Most members of a group.
    pub group_members_max: u32,
    /// Most people whose presence one session watches.
    pub watch_users_max: usize,
    /// Most sends of one session that wait for their ack.
    pub sends_in_flight_max: usize,
}

impl Limits {
    /// The fixed limits beside the configured ones.
    #[must_use]
    pub const fn new(group_members_max: u32, sends_in_flight_max: usize) -> Self {
        Self {
            text_chars_max: limits::TEXT_CHARS_MAX,
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            page_messages_max: limits::PAGE_MESSAGES_MAX,
            resume_messages_max: limits::RESUME_MESSAGES_MAX,
            name_chars_max: limits::NAME_CHARS_MAX,
            group_members_max,
            watch_users_max: limits::WATCH_USERS_MAX,
            sends_in_flight_max,
        }
    }
}

/// A page of history, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Of which conversation.
    pub conversation: Conversation,
    /// Each in its current state; every `prev` is the sequence of the message before it, on the
    /// page or off it.
    pub messages: Vec<Message>,
    /// Sequence of the conversation's last message when the page was read; 0 if there is none.
    pub head: u64,
    /// Whether there are earlier messages.
    pub more_before: bool,
    /// Whether there are later messages.
    pub more_after: bool,
}
