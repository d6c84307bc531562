//! Pushes: where a device is reached, what it is told, and what a user and an operator may choose.

mod target;
mod trace;

use serde::{Deserialize, Serialize};

pub use target::{
    Channel, FcmOs, PushChannels, PushRegistration, PushRequest, PushTarget, VapidKey, WebPushKeys,
};
pub use trace::{DeadPush, PushOutcome, PushReason, PushTrace, Verdict};

use crate::{conversation::Conversation, ids::MessageId};

/// How much a push says: the less of what the deployment allows and the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushPreview {
    /// That there is a message; neither who sent it nor what it says.
    None,
    /// Who sent it and, in a group, where.
    Sender,
    /// Also the beginning of the text.
    #[default]
    Full,
}

/// A conversation is muted for a user: its messages are not pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Until when, Unix milliseconds; absent: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Whether a message that mentions the user (`@handle`) is pushed all the same.
    #[serde(default = "yes")]
    pub mentions: bool,
}

const fn yes() -> bool {
    true
}

impl Mute {
    /// Whether it holds at this time, Unix milliseconds.
    #[must_use]
    pub fn holds_at(&self, now_ms: u64) -> bool {
        self.until.is_none_or(|until| now_ms < until)
    }
}

/// What a device is told: the payload of a Web Push, and the `notice` in the data of an FCM message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// There is a message. A later one of the same conversation takes its place on the screen.
    Message {
        /// Where.
        conversation: Conversation,
        /// Its place.
        seq: u64,
        /// Its id.
        id: MessageId,
        /// When it was sent, Unix milliseconds.
        sent_at: u64,
        /// What stands above: the sender of a 1:1 chat, the title of a group.
        title: String,
        /// What stands below, cut where the push service's limit demands it; absent with less than the
        /// full preview.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// Messages that the user has not read, in all conversations that are not muted.
        badge: u32,
        /// Whether it mentions the user.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mention: bool,
    },
    /// What was shown for this conversation up to this message need not be seen any more.
    Withdraw {
        /// Where.
        conversation: Conversation,
        /// Up to where.
        seq: u64,
        /// As in a message.
        badge: u32,
    },
}

impl Notice {
    /// In which conversation.
    #[must_use]
    pub const fn conversation(&self) -> &Conversation {
        match self {
            Self::Message { conversation, .. } | Self::Withdraw { conversation, .. } => conversation,
        }
    }

    /// Of which message, or up to which.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        match self {
            Self::Message { seq, .. } | Self::Withdraw { seq, .. } => *seq,
        }
    }
}

/// The value in the bucket `pushes`, under `<channel>.<user>.<device>.<conversation>`: what this device is
/// to be told of this conversation, or was.
///
/// Only the newest counts: it is written by compare-and-set and never for a message before the one that
/// stands there, so that no message is pushed to a device twice, whoever decides it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushJob {
    /// What.
    pub notice: Notice,
    /// When it was decided, by the NATS server's clock, Unix milliseconds: tells when to give up.
    pub decided_at: u64,
    /// When a push service took it, Unix milliseconds: it is not sent again, whatever a consumer forgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<u64>,
    /// The span that decided it, as in the header [`crate::trace::TRACEPARENT`], where that is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl PushJob {
    /// What is to be sent.
    #[must_use]
    pub const fn new(notice: Notice, decided_at: u64) -> Self {
        Self {
            notice,
            decided_at,
            sent_at: None,
            trace: None,
        }
    }
}
