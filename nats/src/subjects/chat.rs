//! `chat.<shard>.<conversation>`: what is stored, for example `chat.3.dm.01j….01k…`.

use crate::{
    conversation::Conversation,
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

/// The conversation of a stored subject; `None` if the subject is of another family, or of a
/// shard that is not the conversation's own.
#[must_use]
pub fn parse(shards: Shards, subject: &str) -> Option<Conversation> {
    let (shard, name) = subject.strip_prefix("chat.")?.split_once('.')?;
    let conversation = name.parse().ok()?;
    (shards.of(&conversation).to_string() == shard).then_some(conversation)
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

    #[test]
    fn a_foreign_shard_is_refused() {
        let shards = Shards::new(4).expect("in range");
        let conversation = Conversation::User(crate::UserId::from_parts(1, 1));
        let other = (shards.of(&conversation).index() + 1) % 4;
        assert_eq!(parse(shards, &format!("chat.{other}.{conversation}")), None);
        assert_eq!(parse(shards, "live.user.x"), None);
    }
}
