//! Which stream holds a conversation.
//!
//! Computed here and nowhere else: FNV-1a (32 bits) of the conversation's name, modulo the number
//! of shards, which is fixed when the cluster is provisioned and recorded in it.

use std::{fmt, num::NonZeroU16};

use crate::conversation::Conversation;

/// Index of a shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// The index, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number of shards of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards(NonZeroU16);

impl Shards {
    /// The largest number of shards.
    pub const MAX: u16 = 256;

    /// A number of shards from 1 to [`Self::MAX`].
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        match NonZeroU16::new(count) {
            Some(some) if count <= Self::MAX => Some(Self(some)),
            _ => None,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0.get()
    }

    /// All of them, in order.
    pub fn all(self) -> impl Iterator<Item = Shard> + use<> {
        (0..self.0.get()).map(Shard)
    }

    /// The shard with this index, if there is one.
    #[must_use]
    pub fn get(self, index: u16) -> Option<Shard> {
        (index < self.0.get()).then_some(Shard(index))
    }

    /// The shard of a conversation.
    #[must_use]
    pub fn of(self, conversation: &Conversation) -> Shard {
        Shard(spread(conversation, self.0.get()))
    }
}

/// One of `count` places for what has this name: FNV-1a modulo `count`.
pub(crate) fn spread(name: &impl fmt::Display, count: u16) -> u16 {
    use fmt::Write;
    let mut hash = Fnv1a32::default();
    // Hashing while formatting: no allocation on the way of every message.
    let _ = write!(hash, "{name}");
    u16::try_from(hash.0 % u32::from(count.max(1))).unwrap_or_default()
}

/// FNV-1a, 32 bits (<https://www.rfc-editor.org/rfc/rfc9923>).
struct Fnv1a32(u32);

impl Default for Fnv1a32 {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl fmt::Write for Fnv1a32 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::conversation::tests::any_conversation;

    #[test]
    fn fnv_matches_the_published_vectors() {
        for (text, expected) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            let mut hash = Fnv1a32::default();
            hash.write_str(text).expect("infallible");
            assert_eq!(hash.0, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_conversation_has_one_shard_in_range(conversation in any_conversation(), count in 1..=Shards::MAX) {
            let shards = Shards::new(count).expect("in range");
            let shard = shards.of(&conversation);
            prop_assert!(shard.index() < usize::from(count));
            prop_assert_eq!(shards.of(&conversation), shard);
            prop_assert_eq!(shards.get(shard.0), Some(shard));
        }
    }

    #[test]
    fn the_count_is_bounded() {
        assert!(Shards::new(0).is_none());
        assert!(Shards::new(257).is_none());
    }
}
