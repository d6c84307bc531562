//! Refresh tokens as text: `<user>.<device>.<secret>`, the secret 32 random bytes in base64url.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use natterjack_nats::{DeviceId, UserId};
use sha2::{Digest as _, Sha256};

const SECRET_BYTES: usize = 32;

/// A refresh token. Its `Debug` form leaves out the secret, its `Display` form is the token.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Whose.
    pub user: UserId,
    /// Bound to which device.
    pub device: DeviceId,
    secret: [u8; SECRET_BYTES],
}

/// Not a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a refresh token; log in again")]
pub struct NotARefreshToken;

impl RefreshToken {
    /// A new token with a secret of its own.
    pub fn generate(user: UserId, device: DeviceId) -> Self {
        Self {
            user,
            device,
            secret: rand::random(),
        }
    }

    /// What is kept of it: the SHA-256 of the secret, in base64url. A secret of 256 random bits
    /// needs no slow hash.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret))
    }
}

impl fmt::Display for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        write!(f, "{}.{}.{secret}", self.user, self.device)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.…", self.user, self.device)
    }
}

impl FromStr for RefreshToken {
    type Err = NotARefreshToken;
    fn from_str(text: &str) -> Result<Self, NotARefreshToken> {
        let mut parts = text.split('.');
        let (Some(user), Some(device), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotARefreshToken);
        };
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotARefreshToken)?;
        Ok(Self {
            user: user.parse().map_err(|_| NotARefreshToken)?,
            device: device.parse().map_err(|_| NotARefreshToken)?,
            secret: secret.try_into().map_err(|_| NotARefreshToken)?,
        })
    }
}

#[cfg(test)]
#[path = "../../fuzz/tokens.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_no_secret_in_logs() {
        let (user, device) = (UserId::from_parts(1, 2), DeviceId::from_parts(3, 4));
        let token = RefreshToken::generate(user, device);
        let text = token.to_string();
        assert_eq!(text.len(), 26 + 1 + 26 + 1 + 43);
        assert_eq!(text.parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(&text[54..]));
        assert_ne!(RefreshToken::generate(user, device).hash(), token.hash());
    }

    #[test]
    fn garbage_is_no_token() {
        // Ids with letters in them, so that upper case is another text.
        let user = UserId::from_parts(1_700_000_000_000, 2);
        let good = RefreshToken::generate(user, DeviceId::from_parts(3, 4)).to_string();
        let (short, long) = (&good[..good.len() - 1], format!("{good}A"));
        let more = format!("{good}.x");
        let upper = good.to_uppercase();
        for bad in [
            "",
            "a.b.c",
            short,
            long.as_str(),
            more.as_str(),
            upper.as_str(),
            "...",
        ] {
            assert_eq!(bad.parse::<RefreshToken>(), Err(NotARefreshToken), "{bad}");
        }
    }
}
