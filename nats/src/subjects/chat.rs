//! `chat.<shard>.<conversation>`: what is stored, for example `chat.3.dm.01j….01k…`; and
//! `chat.<shard>.void`: what was refused. Who reads all of a shard skips the latter.

use crate::{
    conversation::Conversation,
    ids::{GroupId, UserId},
    shard::{Shard, Shards},
};

/// The subject on which messages of a conversation are stored.
#[must_use]
pub fn subject(shards: Shards, conversation: &Conversation) -> String {
    format!("chat.{}.{conversation}", shards.of(conversation))
}

/// All that one shard stores: the subject of its stream.
#[must_use]
pub fn wildcard(shard: Shard) -> String {
    format!("chat.{shard}.>")
}

/// What the stream of a shard listens on as long as it takes no messages: a subject that nobody publishes
/// on. For example `closed.3`.
#[must_use]
pub fn closed(shard: Shard) -> String {
    format!("closed.{shard}")
}

/// The 1:1 chats and groups of one shard, without the logs of users and refusals.
#[must_use]
pub fn of_conversations(shard: Shard) -> [String; 2] {
    [format!("chat.{shard}.dm.>"), format!("chat.{shard}.group.>")]
}

/// What the persister's outbox publishes in one shard: what happens to groups, and the logs of users.
#[must_use]
pub fn of_outbox(shard: Shard) -> [String; 2] {
    [format!("chat.{shard}.group.*"), format!("chat.{shard}.user.*")]
}

/// The conversation of a stored subject; `None` if the subject is of another family, or of a
/// shard that is not the conversation's own.
#[must_use]
pub fn parse(shards: Shards, subject: &str) -> Option<Conversation> {
    let (shard, name) = subject.strip_prefix("chat.")?.split_once('.')?;
    let conversation = name.parse().ok()?;
    (shards.of(&conversation).to_string() == shard).then_some(conversation)
}

/// The subject on which a shard stores refusals ([`Void`](crate::wire::Void)), beside all conversations.
/// For example `chat.3.void`.
#[must_use]
pub fn void(shard: Shard) -> String {
    format!("chat.{shard}.void")
}

/// The shard of a subject of refusals; `None` for any other subject.
#[must_use]
pub fn parse_void(shards: Shards, subject: &str) -> Option<Shard> {
    let index = subject.strip_prefix("chat.")?.strip_suffix(".void")?;
    let shard = shards.get(index.parse().ok()?)?;
    // As we write it: no sign and no leading zero.
    (shard.to_string() == index).then_some(shard)
}

/// What one shard stores for a user: all 1:1 chats in which the user's id stands first, all in which
/// it stands second, and, where this shard holds them, the user's own log and the groups. For
/// example `chat.3.dm.01j….*`.
#[must_use]
pub fn of_user(
    shards: Shards,
    shard: Shard,
    user: UserId,
    groups: impl IntoIterator<Item = GroupId>,
) -> Vec<String> {
    let named = groups
        .into_iter()
        .map(Conversation::Group)
        .chain([Conversation::User(user)]);
    let named = named.filter(|conversation| shards.of(conversation) == shard);
    let dms = [
        format!("chat.{shard}.dm.{user}.*"),
        format!("chat.{shard}.dm.*.{user}"),
    ];
    dms.into_iter()
        .chain(named.map(|conversation| subject(shards, &conversation)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conversation::tests::any_conversation;

    proptest! {
        #[test]
        fn round_trip(conversation in any_conversation(), count in 1..=Shards::MAX) {
            let shards = Shards::new(count).expect("in range");
            let subject = subject(shards, &conversation);
            prop_assert_eq!(parse(shards, &subject), Some(conversation));
            let wildcard = wildcard(shards.of(&conversation));
            prop_assert!(subject.starts_with(wildcard.trim_end_matches('>')));
        }
    }

    proptest! {
        #[test]
        fn a_user_finds_every_conversation_of_their_own(conversation in any_conversation(), count in 1..=16_u16) {
            let shards = Shards::new(count).expect("in range");
            let (user, groups) = match conversation {
                Conversation::Dm(dm) => (dm.high(), vec![]),
                Conversation::Group(group) => (UserId::from_parts(1, 1), vec![group]),
                Conversation::User(user) => (user, vec![]),
            };
            let subject = subject(shards, &conversation);
            let matching = |shard| of_user(shards, shard, user, groups.clone()).into_iter().filter(|pattern| {
                let (pattern, subject): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), subject.split('.').collect());
                pattern.len() == subject.len() && pattern.iter().zip(&subject).all(|(p, s)| *p == "*" || p == s)
            });
            for shard in shards.all() {
                prop_assert_eq!(matching(shard).count() > 0, shard == shards.of(&conversation));
            }
        }
    }

    #[test]
    fn refusals_lie_beside_all_conversations() {
        let shards = Shards::new(12).expect("in range");
        for shard in shards.all() {
            let subject = void(shard);
            assert!(subject.starts_with(wildcard(shard).trim_end_matches('>')));
            assert_eq!(parse_void(shards, &subject), Some(shard));
            assert_eq!(parse(shards, &subject), None);
        }
        for other in [
            "chat.12.void",
            "chat.+1.void",
            "chat.01.void",
            "chat.1.void.x",
            "chat.void",
            "live.void",
        ] {
            assert_eq!(parse_void(shards, other), None, "{other}");
        }
        let conversation = Conversation::User(UserId::from_parts(1, 1));
        assert_eq!(parse_void(shards, &subject(shards, &conversation)), None);
    }

    #[test]
    fn a_foreign_shard_is_refused() {
        let shards = Shards::new(4).expect("in range");
        let conversation = Conversation::User(UserId::from_parts(1, 1));
        let other = (shards.of(&conversation).index() + 1) % 4;
        assert_eq!(parse(shards, &format!("chat.{other}.{conversation}")), None);
        assert_eq!(parse(shards, "live.user.x"), None);
    }
}
