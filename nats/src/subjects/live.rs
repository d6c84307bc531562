//! `live.<conversation>`: what is stored, republished after the store, and ephemeral frames.
//!
//! A republished message carries `Nats-Sequence` and `Nats-Last-Sequence`; an ephemeral frame
//! (typing, receipts) carries neither. For example `live.group.01j…`. `live.void`, where a stream
//! republishes refusals, is heard by operators only.

use crate::{conversation::Conversation, ids::UserId};

/// The destination of every chat stream's republish.
pub const ALL: &str = "live.>";

/// Where edges publish ephemeral frames, and what they hear: all 1:1 chats and groups.
pub const EPHEMERAL: [&str; 2] = ["live.dm.*.*", "live.group.*"];

/// The logs of all users.
pub const USERS: &str = "live.user.*";

/// The live subject of a conversation.
#[must_use]
pub fn subject(conversation: &Conversation) -> String {
    format!("live.{conversation}")
}

/// The conversation of a live subject.
#[must_use]
pub fn parse(subject: &str) -> Option<Conversation> {
    subject.strip_prefix("live.")?.parse().ok()
}

/// What an edge subscribes to for one connected user, besides the groups: all 1:1 chats in which
/// the user's id stands first, all in which it stands second, and the user's own log.
///
/// Notes to self (`dm.<u>.<u>`) match the first two: take them from the first only.
#[must_use]
pub fn of_user(user: UserId) -> [String; 3] {
    [
        format!("live.dm.{user}.*"),
        format!("live.dm.*.{user}"),
        format!("live.user.{user}"),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conversation::tests::{any_conversation, any_user};

    proptest! {
        #[test]
        fn round_trip(conversation in any_conversation()) {
            prop_assert_eq!(parse(&subject(&conversation)), Some(conversation));
        }

        #[test]
        fn a_dm_is_heard_by_both(a in any_user(), b in any_user()) {
            let subject = subject(&Conversation::dm(a, b));
            for user in [a, b] {
                let heard = of_user(user).iter().any(|pattern| {
                    let (pattern, subject): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), subject.split('.').collect());
                    pattern.len() == subject.len() && pattern.iter().zip(&subject).all(|(p, s)| *p == "*" || p == s)
                });
                prop_assert!(heard);
            }
        }
    }
}
