//! Identifiers as validated newtypes.
//!
//! Every id is safe as a NATS subject token and as a KV key by construction: 26 lower-case
//! characters of Crockford's base32 (a [ULID](https://github.com/ulid/spec) in lower case). In
//! memory it is 128 bits and `Copy`; in Postgres it is a `uuid` of 16 bytes. An id that was not
//! validated cannot be built.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::{ULID_LEN, Ulid};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The length is not that of the id's canonical form.
    #[error("an id has {expected} characters, this one has {found}")]
    Length {
        /// Characters of the canonical form.
        expected: usize,
        /// Characters that were found.
        found: usize,
    },
    /// A character outside the canonical alphabet; upper case counts, because two spellings of
    /// one id would be two NATS subjects.
    #[error("an id holds only 0-9 and a-z without i, l, o, u")]
    Alphabet,
    /// More than 128 bits.
    #[error("an id starts with 0 to 7")]
    Overflow,
    /// Not a UUID of version 7 in its canonical lower-case form (RFC 9562).
    #[error("a message id is a UUIDv7 in lower case, such as 0197f3b4-7c1e-7000-8000-0123456789ab")]
    NotUuidV7,
}

fn parse_ulid(text: &str) -> Result<Ulid, IdError> {
    if text.len() != ULID_LEN {
        return Err(IdError::Length {
            expected: ULID_LEN,
            found: text.chars().count(),
        });
    }
    let canonical = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z') && !b"ilou".contains(&byte);
    if !text.bytes().all(canonical) {
        return Err(IdError::Alphabet);
    }
    if text.as_bytes()[0] > b'7' {
        return Err(IdError::Overflow);
    }
    Ulid::from_string(text).map_err(|_| IdError::Alphabet)
}

fn write_ulid(id: Ulid, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut buffer = [0; ULID_LEN];
    let text = id.array_to_str(&mut buffer);
    text.make_ascii_lowercase();
    f.write_str(text)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// A new id from a time in Unix milliseconds and 80 random bits (the upper 48 bits of
            /// `random` are ignored).
            #[must_use]
            pub const fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random))
            }

            /// A new id for `unix_ms`, with randomness from the operating system.
            #[must_use]
            pub fn generate(unix_ms: u64) -> Self {
                Self::from_parts(unix_ms, Uuid::new_v4().as_u128())
            }

            /// The time in Unix milliseconds at which this id was made.
            #[must_use]
            pub const fn unix_ms(self) -> u64 {
                self.0.timestamp_ms()
            }

            /// The same 128 bits as a UUID, as Postgres keeps them.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                Uuid::from_bytes(self.0.to_bytes())
            }

            /// The id kept in Postgres as `uuid`.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(Ulid::from_bytes(*uuid.as_bytes()))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_ulid(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_ulid(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_ulid(self.0, f)
            }
        }

        text_serde!($name);
    };
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", stringify!($name)))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}
pub(crate) use text_serde;

id! {
    /// A person, for ever.
    UserId
}
id! {
    /// One installation of a client: a phone, a browser profile, a terminal.
    DeviceId
}
id! {
    /// A group conversation.
    GroupId
}
id! {
    /// A request that may be sent again, named by the client that makes it: it finds what the same request made before,
    /// and is never itself the name of anything.
    RequestId
}
id! {
    /// One running edge process.
    EdgeId
}
id! {
    /// One running process of any role, in which one edge has the id of its own.
    ProcessId
}

impl From<EdgeId> for ProcessId {
    fn from(EdgeId(id): EdgeId) -> Self {
        Self(id)
    }
}

id! {
    /// One connection of one device.
    SessionId
}

/// A client-made message id: a UUIDv7 (RFC 9562), kept across retries.
///
/// Together with the sender it names one message for ever, and its timestamp tells whether the
/// stream's dedupe window may be relied on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

impl MessageId {
    /// A new id for `unix_ms`, with randomness from the operating system.
    #[must_use]
    pub fn generate(unix_ms: u64) -> Self {
        let random = Uuid::new_v4().into_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[6..]);
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &tail).into_uuid())
    }

    /// The client's clock when it made the id, in Unix milliseconds.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        // The first 48 bits of a UUIDv7 (RFC 9562, section 5.7).
        u64::try_from(self.0.as_u128() >> 80).unwrap_or_default()
    }

    /// The id as Postgres keeps it.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }

    /// The id kept in Postgres.
    ///
    /// # Errors
    /// [`IdError::NotUuidV7`] for any other version.
    pub fn from_uuid(uuid: Uuid) -> Result<Self, IdError> {
        let v7 = uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122;
        v7.then_some(Self(uuid)).ok_or(IdError::NotUuidV7)
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let uuid = Uuid::try_parse(text).map_err(|_| IdError::NotUuidV7)?;
        // Only the canonical spelling: braces, URNs and upper case would name one message twice.
        if uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) != text {
            return Err(IdError::NotUuidV7);
        }
        Self::from_uuid(uuid)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_serde!(MessageId);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_round_trips_and_is_a_safe_token(bits: u128) {
            let id = UserId::from_uuid(Uuid::from_u128(bits));
            let text = id.to_string();
            prop_assert_eq!(text.len(), ULID_LEN);
            prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            prop_assert_eq!(text.parse::<UserId>(), Ok(id));
            prop_assert_eq!(UserId::from_uuid(id.as_uuid()), id);
        }

        #[test]
        fn order_of_text_is_order_of_ids(a: u128, b: u128) {
            let (a, b) = (UserId::from_uuid(Uuid::from_u128(a)), UserId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn whatever_parses_is_canonical(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<UserId>() {
                prop_assert_eq!(id.to_string(), text.clone());
            }
            if let Ok(id) = text.parse::<MessageId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn a_message_id_keeps_its_time(ms in 0_u64..(1 << 48)) {
            let id = MessageId::generate(ms);
            prop_assert_eq!(id.unix_ms(), ms);
            prop_assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        }
    }

    #[test]
    fn refusals_say_why() {
        let upper = "01J0000000000000000000000A";
        assert_eq!(upper.parse::<UserId>(), Err(IdError::Alphabet));
        assert_eq!(
            "8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<UserId>(),
            Err(IdError::Overflow)
        );
        assert_eq!(
            "abc".parse::<UserId>(),
            Err(IdError::Length {
                expected: 26,
                found: 3
            })
        );
        let v4 = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
        assert_eq!(v4.parse::<MessageId>(), Err(IdError::NotUuidV7));
    }
}
