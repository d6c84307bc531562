//! Who is online, and what the KV buckets `sessions`, `presence` and `edges` hold.

use serde::{Deserialize, Serialize};

use crate::ids::{EdgeId, UserId};

/// Whether a user is there, as the server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// No device is connected.
    #[default]
    Offline,
    /// A device is connected, and on none of them is the app in the foreground.
    Away,
    /// On a connected device the app is in the foreground.
    Online,
}

/// Who may see whether a user is there, and when they were there last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privacy {
    /// Every user.
    #[default]
    Everyone,
    /// Those with whom the user shares a conversation: a 1:1 chat with a message in it, or a group.
    Contacts,
    /// No other user; and the user does not see it of others either.
    Nobody,
}

/// The value in the bucket `presence`, under `<user>`: written by the presence role alone.
///
/// A user without an entry was never there, and has the default [`Privacy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PresenceRecord {
    /// Whether the user is there.
    pub state: PresenceState,
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// When the app was last in the foreground on any device, Unix milliseconds; absent while it is,
    /// and if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
    /// Who may see it.
    #[serde(default)]
    pub privacy: Privacy,
}

/// The value in the bucket `sessions`, under `<edge>.<user>.<device>`: a device that is connected
/// through an edge, by one socket or several. Written by that edge on connect, on change and on
/// disconnect, and never while nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSession {
    /// Of the [`Lease`] under which it was written. A session counts only while its edge holds a
    /// lease of the same epoch.
    pub epoch: u64,
    /// Whether the app is in the foreground, on one of the sockets at least.
    pub active: bool,
    /// Since when the device is connected here without a break, Unix milliseconds.
    pub since: u64,
}

/// The value in the bucket `edges`, under `<edge>`: the edge lives for as long as this is rewritten.
///
/// Written every [`LEASE_INTERVAL_MS`](crate::limits::LEASE_INTERVAL_MS) with a per-message TTL of
/// [`LEASE_TTL_MS`](crate::limits::LEASE_TTL_MS). What follows an expiry is a marker with
/// `Nats-Marker-Reason: MaxAge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Tells one process from another that was started with the same id.
    pub instance: uuid::Uuid,
    /// Tells one holding of the lease from the next: Unix milliseconds when it was taken, and higher
    /// than any that this process had before.
    pub epoch: u64,
    /// Where the edge stands, in the operator's words.
    pub region: String,
    /// Where clients reach it: `https://…` or `http://…`, without a path.
    pub url: String,
    /// Connections that are open.
    pub connections: u32,
    /// Connections that may be open.
    pub connections_max: u32,
    /// Name and version of the program.
    pub version: String,
    /// It takes no new connections and closes those that it has.
    pub draining: bool,
    /// When the process started, Unix milliseconds.
    pub started_at: u64,
}

/// What one user sees of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownState {
    /// No device is connected.
    Offline,
    /// Connected, in the background.
    Away,
    /// In the foreground.
    Online,
    /// Not for this viewer to know.
    Hidden,
}

impl From<PresenceState> for ShownState {
    fn from(state: PresenceState) -> Self {
        match state {
            PresenceState::Offline => Self::Offline,
            PresenceState::Away => Self::Away,
            PresenceState::Online => Self::Online,
        }
    }
}

/// A user's presence as another user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPresence {
    /// Whose.
    pub user: UserId,
    /// Whether they are there.
    pub state: ShownState,
    /// When the app was last in the foreground on any of their devices, Unix milliseconds; absent
    /// while it is, if it never was, and if it is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

/// An edge that takes connections, as service discovery names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeInfo {
    /// Which.
    pub id: EdgeId,
    /// Where clients reach it: `https://…` or `http://…`, without a path.
    pub url: String,
    /// Where it stands, in the operator's words.
    pub region: String,
    /// How much of its connections is taken, in percent.
    pub load: u8,
    /// Name and version of the program.
    pub version: String,
}
