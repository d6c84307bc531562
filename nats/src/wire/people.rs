//! Users, devices, members and the conversation list.

use serde::{Deserialize, Serialize};

use super::{
    message::Kind,
    presence::Privacy,
    push::{Channel, Mute, PushPreview},
    receipt::Cursor,
};
use crate::{
    conversation::Conversation,
    ids::{DeviceId, MessageId, UserId},
};

/// A user as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Who.
    pub id: UserId,
    /// The unique name by which others find the user: 3–32 of `a-z 0-9 _ . -`. Absent where an
    /// outside identity provider gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The name to show.
    pub name: String,
}

/// A user as they see themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// What others see too.
    #[serde(flatten)]
    pub profile: Profile,
    /// Who may see whether the user is there; absent while presence is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Privacy>,
    /// How much pushes say.
    #[serde(default)]
    pub push_preview: PushPreview,
}

/// A member's rights in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Also renames, adds, removes members, and deletes anyone's messages.
    Admin,
    /// Also removes admins and gives roles.
    Owner,
}

/// A user in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: Profile,
    /// With which rights.
    pub role: Role,
    /// Since when, Unix milliseconds.
    pub joined_at: u64,
    /// How far the user's devices have got.
    pub cursor: Cursor,
}

/// A device of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// Its name, as its owner knows it.
    pub name: String,
    /// What it runs on: `ios`, `android`, `web`, `terminal`, …
    pub platform: String,
    /// First login, Unix milliseconds.
    pub created_at: u64,
    /// Last login or token refresh, Unix milliseconds.
    pub refreshed_at: u64,
    /// When it was last connected, Unix milliseconds; now, while it is.
    #[serde(default)]
    pub last_seen: u64,
    /// Whether it is connected.
    #[serde(default)]
    pub online: bool,
    /// Whether it is the one that asks.
    #[serde(default)]
    pub current: bool,
    /// By what it is pushed; absent if it has not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Channel>,
}

/// The last message of a conversation, short enough for a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Its place.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
    /// Who sent it.
    pub sender: UserId,
    /// When, Unix milliseconds.
    pub sent_at: u64,
    /// What it is.
    pub kind: Kind,
    /// The first 200 characters of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationSummary {
    /// Which.
    pub conversation: Conversation,
    /// Sequence of its last message, edits, deletions and events included; 0 if there is none.
    pub head: u64,
    /// The last text, perhaps deleted, or event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Preview>,
    /// Texts of others beyond my read cursor, at most [`crate::limits::UNREAD_MAX`].
    pub unread: u32,
    /// My own cursor.
    pub cursor: Cursor,
    /// I have muted it; absent: I have not, or no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute: Option<Mute>,
    /// A group's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// My role in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How many are in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_count: Option<u32>,
    /// The other user of a 1:1 chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Profile>,
    /// How far the other user of a 1:1 chat has got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_cursor: Option<Cursor>,
}
