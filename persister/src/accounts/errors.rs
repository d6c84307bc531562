//! What a caller hears when something about accounts fails.

use natterjack_nats::wire::{Code, WireError};

use super::{
    devices::DeviceError, keys::KeyError, names::NameError, passwords::PasswordError,
    refresh::NotARefreshToken,
};
use crate::failure::Failure;

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::wire(Code::BadRequest, error.to_string())
    }
}

impl From<NotARefreshToken> for Failure {
    fn from(error: NotARefreshToken) -> Self {
        Self::wire(Code::Unauthorized, error.to_string())
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        let code = match error {
            DeviceError::Reused | DeviceError::Revoked => Code::Revoked,
            DeviceError::Unknown => Code::Unauthorized,
            DeviceError::NoSuchDevice => Code::NotFound,
            DeviceError::Bucket { .. } => {
                tracing::warn!(%error, "devices cannot be read or changed");
                let told = "devices are away for now; try again soon";
                return Self::Wire(WireError::new(Code::Unavailable, told).retry_after_ms(1_000));
            }
        };
        Self::wire(code, error.to_string())
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        Self::internal(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Db(error) => Self::Db(error),
            other => Self::internal(other),
        }
    }
}

/// No such handle or another password: one answer for both, so that nobody learns which.
pub fn wrong_login() -> Failure {
    Failure::wire(
        Code::Unauthorized,
        "the handle or the password is wrong; check both and try again",
    )
}

/// Somebody has the handle.
pub fn handle_taken(handle: &str) -> Failure {
    Failure::wire(
        Code::HandleTaken,
        format!("the handle {handle} is taken: choose another one, or log in if it is yours"),
    )
}

/// No such user.
pub fn no_such_user() -> Failure {
    Failure::wire(Code::NotFound, "there is no such user")
}
