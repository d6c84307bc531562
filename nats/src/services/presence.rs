//! `svc.presence.<verb>`: who is there. Answers are for the server's own parts: what a viewer may see
//! of them is decided by the edge that asks.

use serde::{Deserialize, Serialize};

use super::{names, verbs};
use crate::{
    ids::{DeviceId, EdgeId, UserId},
    wire::{PresenceRecord, Privacy},
};

/// The presence of many users at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Query {
    /// At most [`crate::limits::WATCH_USERS_MAX`].
    pub users: Vec<UserId>,
}

/// What is known of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Who.
    pub user: UserId,
    /// The revision of the entry in the bucket `presence`, by which two answers are ordered; 0 if
    /// there is none.
    pub revision: u64,
    /// The entry; the default if there is none.
    pub record: PresenceRecord,
}

/// The connected devices of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sessions {
    /// Whose.
    pub user: UserId,
}

/// A device that is connected through an edge that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Which.
    pub device: DeviceId,
    /// Through which edge; a device may be connected through several.
    pub edge: EdgeId,
    /// Whether the app is in the foreground there.
    pub active: bool,
    /// Since when, Unix milliseconds.
    pub since: u64,
}

/// Who may see the presence of a user from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPrivacy {
    /// Whose.
    pub user: UserId,
    /// Who.
    pub privacy: Privacy,
}

verbs! { names::PRESENCE =>
    Query as "query" -> Vec<Known>;
    Sessions as "sessions" -> Vec<OpenSession>;
    SetPrivacy as "set_privacy" -> super::Done;
}
