//! `svc.accounts.<verb>`: sign-up, login, tokens, profiles, devices.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Done, names, verbs};
use crate::{
    ids::{DeviceId, UserId},
    wire::{Device, HelloDevice, Profile, PushPreview, PushRequest},
};

/// A new account with its first device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignUp {
    /// 3–32 of `a-z 0-9 _ . -`.
    pub handle: String,
    /// 8–1,024 characters.
    pub password: String,
    /// The name to show; the handle if absent.
    pub name: Option<String>,
    /// The device that signs up; an id that the client made is the device's.
    pub device: HelloDevice,
}

/// A session for a device of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogIn {
    /// Of the account.
    pub handle: String,
    /// Of the account.
    pub password: String,
    /// The device that logs in; one that is known already keeps its id.
    pub device: HelloDevice,
}

/// New tokens for old.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refresh {
    /// The refresh token, valid once. One that was used before revokes the device.
    pub refresh_token: String,
}

/// What a login, a sign-up or a refresh gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// The user.
    pub user: Profile,
    /// The device that the tokens are bound to.
    pub device: DeviceId,
    /// A JWT for `hello` and the `Authorization: Bearer` header.
    pub access_token: String,
    /// When the access token expires, Unix milliseconds.
    pub expires_at: u64,
    /// Exchanged for new tokens, once.
    pub refresh_token: String,
}

/// Ends a device: its refresh token is dead and its sockets close.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeDevice {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
}

/// Ends all devices of a user but one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeOthers {
    /// Whose.
    pub user: UserId,
    /// The one that stays.
    pub except: DeviceId,
}

/// The account of a user whom an outside identity provider vouches for, made at first sight.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct External {
    /// `iss` of the token.
    pub issuer: String,
    /// `sub` of the token.
    pub subject: String,
    /// `preferred_username` of the token: becomes the handle if it is valid and free.
    pub handle: Option<String>,
    /// `name` of the token.
    pub name: Option<String>,
    /// The device that came with the token: it is registered.
    pub device: Option<(DeviceId, HelloDevice)>,
}

/// Profiles by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Profiles {
    /// At most 100; those that do not exist are left out of the answer.
    pub users: Vec<UserId>,
}

/// Profiles whose handle or name starts with a text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindUsers {
    /// At least two characters; case does not matter.
    pub prefix: String,
    /// At most 50.
    pub limit: usize,
}

/// A change of one's own profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetProfile {
    /// Whose.
    pub user: UserId,
    /// The new name to show.
    pub name: String,
}

/// One's own devices.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Devices {
    /// Whose.
    pub user: UserId,
}

/// Registers a device for pushes, in place of what it had registered. A target that another device had
/// registered before leaves that one: a browser or a phone has one user at a time. The answer is the device
/// as it was stored, while the list of [`Devices`] may be a moment behind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPush {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Where and how.
    pub request: PushRequest,
}

/// Takes a registration back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemovePush {
    /// Whose.
    pub user: UserId,
    /// Of which device.
    pub device: DeviceId,
    /// Only this one ([`PushRegistration::id`](crate::wire::PushRegistration::id)); whatever there is, if
    /// absent.
    #[serde(default)]
    pub id: Option<Uuid>,
}

/// How much pushes to a user say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPushPreview {
    /// Whose.
    pub user: UserId,
    /// At most so much.
    pub preview: PushPreview,
}

/// What a user has chosen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Whose.
    pub user: UserId,
}

/// The answer to [`Settings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// How much pushes say at most.
    pub push_preview: PushPreview,
}

verbs! { names::ACCOUNTS =>
    SignUp as "signup" -> Tokens;
    LogIn as "login" -> Tokens;
    Refresh as "refresh" -> Tokens;
    RevokeDevice as "revoke" -> Done;
    RevokeOthers as "revoke_others" -> Done;
    External as "external" -> Profile;
    Profiles as "profiles" -> Vec<Profile>;
    FindUsers as "find" -> Vec<Profile>;
    SetProfile as "set_profile" -> Profile;
    Devices as "devices" -> Vec<Device>;
    SetPush as "set_push" -> Device;
    RemovePush as "remove_push" -> Done;
    SetPushPreview as "set_push_preview" -> Chosen;
    Settings as "settings" -> Chosen;
}
