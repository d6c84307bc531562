//! Where a device is reached: kinds of push services, registrations, and the keys that browsers subscribe with.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
