//! Why a message was pushed or not, and what became of it: for operators.

use serde::{Deserialize, Serialize};

use super::{Channel, PushJob};
use crate::ids::{DeviceId, MessageId, UserId};

/// One entry of the stream `PUSH_TRACE`, on `push.trace.<conversation>`: why a message was pushed to whom,
/// or was not, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PushTrace {
    /// A message was looked at.
    Decided {
        /// Its place.
        seq: u64,
        /// Its id.
        id: MessageId,
        /// Unix milliseconds.
        at: u64,
        /// Its age at that time, in milliseconds.
        age_ms: u64,
        /// Who gets which verdict; a user that is not named was not in the conversation.
        verdicts: Vec<Verdict>,
    },
    /// It was handed to a push service, or was tried to be.
    Attempted {
        /// The message's place.
        seq: u64,
        /// Whose device.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// By what.
        channel: Channel,
        /// Unix milliseconds.
        at: u64,
        /// The first is 1. Counts also how often it was put off meanwhile because its push service was away.
        attempt: u32,
        /// What became of it.
        outcome: PushOutcome,
        /// In words, for the operator: the status, and what to do.
        detail: String,
        /// When it is tried again at the earliest, Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<u64>,
    },
    /// A push is taken back, or not sent any more.
    Withdrawn {
        /// The message's place.
        seq: u64,
        /// Whose device.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// Unix milliseconds.
        at: u64,
        /// Why: it was read, or deleted.
        reason: String,
    },
}

impl PushTrace {
    /// When it happened, Unix milliseconds. What one notifier decided and another one did at once may be stored in the
    /// other order.
    #[must_use]
    pub const fn at(&self) -> u64 {
        match self {
            Self::Decided { at, .. } | Self::Attempted { at, .. } | Self::Withdrawn { at, .. } => *at,
        }
    }
}

/// What was decided for some users alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why they are pushed, or not.
    pub reason: PushReason,
    /// Who.
    pub users: Vec<UserId>,
    /// The devices that are pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
}

/// Why a message is pushed to a user, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushReason {
    /// No device in the foreground has confirmed it: pushed to all others.
    Unconfirmed,
    /// As `unconfirmed`, and a device in the foreground, which was nudged, is waited for once more.
    Nudged,
    /// A device in the foreground has confirmed it.
    Confirmed,
    /// The user has read it.
    Read,
    /// The user sent it.
    Own,
    /// The user has muted the conversation.
    Muted,
    /// The user came into the group after it.
    JoinedLater,
    /// None of the user's devices is registered for pushes.
    NotRegistered,
    /// This message or a later one of the conversation was handed over to be pushed already.
    Queued,
    /// It is an edit, a deletion, or an event.
    NotAText,
    /// It was deleted before it was due.
    Deleted,
    /// It is older than the notifier pushes.
    TooOld,
}

/// What became of an attempt to push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// The push service has taken it.
    Accepted,
    /// It is tried again.
    Retry,
    /// The push service does not know the device any more: its registration was removed.
    Gone,
    /// It was given up: it lies in the stream `PUSH_DEAD`.
    GivenUp,
    /// It was not needed any more: read in the meantime, or the device is no longer registered.
    Dropped,
}

/// A push that was given up: in the stream `PUSH_DEAD`, on `push.dead.<channel>.<user>.<device>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadPush {
    /// By what.
    pub channel: Channel,
    /// Whose device.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
    /// What it was to be told.
    pub job: PushJob,
    /// When it was given up, Unix milliseconds.
    pub given_up_at: u64,
    /// How often it was tried, or put off because its push service was away.
    pub attempts: u32,
    /// Why, and what to do.
    pub error: String,
}
