//! Pushes: where a device is reached, what it is told, and what a user and an operator may choose.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    conversation::Conversation,
    ids::{DeviceId, MessageId, UserId},
};

/// By which kind of push service a device is reached. Its name is a token of the keys in the bucket
/// `pushes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Web Push (RFC 8030).
    WebPush,
    /// Firebase Cloud Messaging, HTTP v1: Android, and iOS through APNs.
    Fcm,
}

impl Channel {
    /// All of them.
    pub const ALL: &[Self] = &[Self::WebPush, Self::Fcm];

    /// The name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebPush => "webpush",
            Self::Fcm => "fcm",
        }
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a device is reached, as the platform told its app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "lowercase")]
pub enum PushTarget {
    /// A `PushSubscription` of the Push API, as its `toJSON` gives it.
    WebPush {
        /// The push resource's URL: `https`, at most 2,048 bytes.
        endpoint: String,
        /// Its keys.
        keys: WebPushKeys,
    },
    /// A registration token of the Firebase SDK.
    Fcm {
        /// The token, at most 4,096 bytes.
        token: String,
        /// What the app runs on: decides which fields of FCM are filled.
        os: FcmOs,
    },
}

impl PushTarget {
    /// By which kind of push service.
    #[must_use]
    pub const fn channel(&self) -> Channel {
        match self {
            Self::WebPush { .. } => Channel::WebPush,
            Self::Fcm { .. } => Channel::Fcm,
        }
    }
}

/// The keys of a subscription (RFC 8291), base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebPushKeys {
    /// The browser's public key: a point on P-256, uncompressed.
    pub p256dh: String,
    /// The authentication secret: 16 bytes.
    pub auth: String,
}

/// What an app behind FCM runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FcmOs {
    /// Android.
    Android,
    /// iOS: FCM hands it to APNs.
    Ios,
}

/// How a device asks to be pushed: the body of `PUT /v1/devices/{id}/push`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// Where.
    #[serde(flatten)]
    pub target: PushTarget,
    /// Whether a push that shows nothing is allowed: then a shown notification is withdrawn when its
    /// message was read elsewhere. Browsers demand that every push shows something, so that this is
    /// for apps.
    #[serde(default)]
    pub silent: bool,
}

/// A device's registration, in its entry of the bucket `devices` under `push`: at most one a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRegistration {
    /// Another one each time the device registers: whoever removes a dead registration names it, and
    /// does not hit its successor.
    pub id: Uuid,
    /// Where, and how.
    #[serde(flatten)]
    pub request: PushRequest,
    /// When, Unix milliseconds.
    pub registered_at: u64,
}

/// How a client can be pushed here: the answer of `GET /v1/push`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChannels {
    /// The `applicationServerKey` for `PushManager.subscribe` (RFC 8292): a point on P-256,
    /// uncompressed, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webpush_key: Option<String>,
    /// The Firebase project of the server's credentials; absent: it pushes nothing through FCM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fcm_project: Option<String>,
}

/// The key pair of Web Push (RFC 8292): in the bucket `push_keys`, under `vapid`, made once when the cluster
/// is provisioned. Whoever has subscribed is bound to it: with another one, every browser subscribes anew.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VapidKey {
    /// PKCS#8 (RFC 5208), base64url: a secret.
    pub private_key: String,
    /// An uncompressed point on P-256, base64url: what browsers call the `applicationServerKey`.
    pub public_key: String,
    /// Unix milliseconds.
    pub created_at: u64,
}

impl std::fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VapidKey")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

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
