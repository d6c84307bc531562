//! Where a page of the conversation list ended, as an opaque token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::failure::Failure;
use natterjack_nats::wire::Code;

const BYTES: usize = 8 + 16;

/// A place in the list, which is in falling order of time and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `conversations.head_at`.
    pub head_at: i64,
    /// `conversations.key`.
    pub key: Uuid,
}

impl Place {
    /// Before everything.
    pub const START: Self = Self {
        head_at: i64::MAX,
        key: Uuid::max(),
    };

    /// The token.
    pub fn token(self) -> String {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&self.head_at.to_be_bytes());
        bytes[8..].copy_from_slice(self.key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a token.
    pub fn of_token(token: &str) -> Result<Self, Failure> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let bytes: Option<[u8; BYTES]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let (head_at, key) = bytes
            .and_then(|bytes| {
                Some((
                    bytes.first_chunk::<8>().copied()?,
                    bytes.last_chunk::<16>().copied()?,
                ))
            })
            .ok_or_else(|| {
                Failure::wire(
                    Code::BadRequest,
                    "the page token is not one of ours; use `next` of the page before, or none",
                )
            })?;
        Ok(Self {
            head_at: i64::from_be_bytes(head_at),
            key: Uuid::from_bytes(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusal() {
        let place = Place {
            head_at: 1_800_000_000_123,
            key: Uuid::from_u128(7),
        };
        assert_eq!(Place::of_token(&place.token()).ok(), Some(place));
        assert!(place < Place::START);
        for bad in ["", "x", "AAAA", &format!("{}A", place.token())] {
            assert!(Place::of_token(bad).is_err(), "{bad}");
        }
    }
}
