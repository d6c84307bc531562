//! Conversations and their names.
//!
//! | name | what it is |
//! |---|---|
//! | `dm.<a>.<b>` | the 1:1 chat of users a ≤ b; needs no creation; a = b is "notes to self" |
//! | `group.<g>` | a group chat |
//! | `user.<u>` | a user's own event log: added to a group, removed, … |

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{GroupId, IdError, RequestId, UserId, text_serde};

/// Where messages go and in which they are ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conversation {
    /// A 1:1 chat.
    Dm(Dm),
    /// A group chat.
    Group(GroupId),
    /// A user's own event log; nobody else reads it and no client writes it.
    User(UserId),
}

/// The two users of a 1:1 chat, in their one canonical order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dm {
    low: UserId,
    high: UserId,
}

impl Dm {
    /// The 1:1 chat of two users, named in either order.
    #[must_use]
    pub fn between(one: UserId, other: UserId) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
        }
    }

    /// The user with the smaller id.
    #[must_use]
    pub const fn low(self) -> UserId {
        self.low
    }

    /// The user with the larger id.
    #[must_use]
    pub const fn high(self) -> UserId {
        self.high
    }

    /// The other user, seen from `me`; `None` if `me` is not one of the two.
    #[must_use]
    pub fn peer_of(self, me: UserId) -> Option<UserId> {
        if me == self.low {
            Some(self.high)
        } else if me == self.high {
            Some(self.low)
        } else {
            None
        }
    }
}

impl Conversation {
    /// The 1:1 chat of two users, named in either order.
    #[must_use]
    pub fn dm(one: UserId, other: UserId) -> Self {
        Self::Dm(Dm::between(one, other))
    }

    /// The key in Postgres: 16 bytes whatever the kind, because every row and index entry of a
    /// history that is kept for ever carries it.
    ///
    /// A group's and a user log's key is its own id; a 1:1 chat's is the first half of the
    /// SHA-256 of its two ids. All kinds share one key space, so nobody may choose a key: whoever
    /// could would own the conversation that has it. Users' ids are made by the server, groups' ids
    /// too or by [`group_of_request`], so that to hit a given key takes about 2^128 tries.
    #[must_use]
    pub fn key(&self) -> Uuid {
        match self {
            Self::Group(group) => group.as_uuid(),
            Self::User(user) => user.as_uuid(),
            Self::Dm(dm) => half_hash(&[dm.low.as_uuid().as_bytes(), dm.high.as_uuid().as_bytes()]),
        }
    }

    /// Whether `user` may read and write it as far as the name alone tells: `None` for a group,
    /// whose members the name does not tell.
    #[must_use]
    pub fn admits(&self, user: UserId) -> Option<bool> {
        match self {
            Self::Dm(dm) => Some(dm.peer_of(user).is_some()),
            Self::User(owner) => Some(*owner == user),
            Self::Group(_) => None,
        }
    }
}

/// The id of the group that `creator` asks for under `request`: the same for the same two, so that
/// the same request again finds the group that it made.
///
/// It is the first half of SHA-256("natterjack group" ‖ creator ‖ request). A client chooses
/// `request`, so that it must not be the id: it could be another conversation's key. The creator is
/// part of it, so that nobody meets a group of others; the text keeps it apart from the keys of 1:1
/// chats, of which two ids are hashed. Such an id tells no time.
#[must_use]
pub fn group_of_request(creator: UserId, request: RequestId) -> GroupId {
    let ids = [creator.as_uuid(), request.as_uuid()];
    GroupId::from_uuid(half_hash(&[
        b"natterjack group",
        ids[0].as_bytes(),
        ids[1].as_bytes(),
    ]))
}

/// The first half of the SHA-256 of the parts, one after the other.
fn half_hash(parts: &[&[u8; 16]]) -> Uuid {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    Uuid::from_bytes(half)
}

/// Why a text is not a conversation's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConversationError {
    /// Neither of the known forms.
    #[error("a conversation is named dm.<user>.<user>, group.<group> or user.<user>")]
    Form,
    /// An id in it is not valid.
    #[error("the conversation's name holds a bad id: {0}")]
    Id(#[from] IdError),
    /// The two users stand in the wrong order, which would name one chat twice.
    #[error("in dm.<a>.<b> the smaller user id stands first")]
    Order,
}

impl FromStr for Conversation {
    type Err = ConversationError;
    fn from_str(text: &str) -> Result<Self, ConversationError> {
        let mut tokens = text.split('.');
        let conversation = match (tokens.next(), tokens.next(), tokens.next()) {
            (Some("dm"), Some(low), Some(high)) => {
                let (low, high) = (low.parse()?, high.parse()?);
                if low > high {
                    return Err(ConversationError::Order);
                }
                Self::Dm(Dm { low, high })
            }
            (Some("group"), Some(group), None) => Self::Group(group.parse()?),
            (Some("user"), Some(user), None) => Self::User(user.parse()?),
            _ => return Err(ConversationError::Form),
        };
        tokens
            .next()
            .is_none()
            .then_some(conversation)
            .ok_or(ConversationError::Form)
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dm(Dm { low, high }) => write!(f, "dm.{low}.{high}"),
            Self::Group(group) => write!(f, "group.{group}"),
            Self::User(user) => write!(f, "user.{user}"),
        }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

text_serde!(Conversation);
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn any_user() -> impl Strategy<Value = UserId> {
        any::<u128>().prop_map(|bits| UserId::from_uuid(Uuid::from_u128(bits)))
    }

    pub(crate) fn any_conversation() -> impl Strategy<Value = Conversation> {
        prop_oneof![
            (any_user(), any_user()).prop_map(|(a, b)| Conversation::dm(a, b)),
            any::<u128>().prop_map(|g| Conversation::Group(GroupId::from_uuid(Uuid::from_u128(g)))),
            any_user().prop_map(Conversation::User),
        ]
    }

    proptest! {
        #[test]
        fn a_name_round_trips(conversation in any_conversation()) {
            prop_assert_eq!(conversation.to_string().parse(), Ok(conversation));
            let json = serde_json::to_string(&conversation).expect("plain text");
            prop_assert_eq!(serde_json::from_str::<Conversation>(&json).expect("own json"), conversation);
        }

        #[test]
        fn a_dm_has_one_name_and_admits_its_two(a in any_user(), b in any_user(), c in any_user()) {
            let dm = Conversation::dm(a, b);
            prop_assert_eq!(dm, Conversation::dm(b, a));
            prop_assert_eq!(dm.admits(a), Some(true));
            prop_assert_eq!(dm.admits(b), Some(true));
            prop_assert_eq!(dm.admits(c), Some(c == a || c == b));
        }

        #[test]
        fn a_requested_group_is_its_creators_own(a in any_user(), b in any_user(), request in any::<u128>()) {
            let request = RequestId::from_uuid(Uuid::from_u128(request));
            let group = group_of_request(a, request);
            prop_assert_eq!(group, group_of_request(a, request));
            prop_assert_eq!(group == group_of_request(b, request), a == b);
            // Neither what the client chose, nor the chat of these two ids.
            let as_user = UserId::from_uuid(request.as_uuid());
            prop_assert_ne!(group.as_uuid(), request.as_uuid());
            prop_assert_ne!(group.as_uuid(), Conversation::dm(a, as_user).key());
        }

        #[test]
        fn whatever_parses_is_canonical(text in "(dm|group|user)?[.0-9a-z*> ]{0,60}") {
            if let Ok(conversation) = text.parse::<Conversation>() {
                prop_assert_eq!(conversation.to_string(), text);
            }
        }
    }

    /// Groups would be made twice, and chats lost, by a version that derives them otherwise.
    #[test]
    fn what_is_derived_stays() {
        let (a, b) = (UserId::from_parts(1, 2), UserId::from_parts(3, 4));
        assert_eq!(
            Conversation::dm(b, a).key().simple().to_string(),
            "d93eed0e4905e0dd31b3fe7c6d189935"
        );
        let group = group_of_request(a, RequestId::from_parts(3, 4));
        assert_eq!(
            group.as_uuid().simple().to_string(),
            "a40d3919aa1bfb6e0f65d2b33d57d385"
        );
    }

    #[test]
    fn the_reverse_order_is_refused() {
        let (a, b) = (UserId::from_parts(1, 0), UserId::from_parts(2, 0));
        assert_eq!(
            format!("dm.{b}.{a}").parse::<Conversation>(),
            Err(ConversationError::Order)
        );
        assert_eq!(
            format!("dm.{a}.{b}.x").parse::<Conversation>(),
            Err(ConversationError::Form)
        );
        assert!("group.*".parse::<Conversation>().is_err());
    }
}
