//! What is kept of receipts: two generations, so that the oldest go in one go.
//!
//! A generation is as long as the window; when the newer one is, the older one goes. So at least one window
//! is known at any time, and more where somebody still needs it and there is room.

use std::collections::HashMap;

use natterjack_nats::{Conversation, UserId, wire::ReceiptOf};

use super::Reached;

/// Receipts of two generations; see the module.
#[derive(Debug)]
pub struct Generations {
    window_ms: u64,
    /// Most entries of one generation.
    entries_max: usize,
    newer: Generation,
    older: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    /// All receipts from this time on, or since the generation was begun, are known. Unix milliseconds.
    from_ms: u64,
    entries: HashMap<(UserId, Conversation), Reached>,
}

impl Generations {
    /// Empty, and knowing everything from `from_ms` on.
    pub fn new(window_ms: u64, entries_max: usize, from_ms: u64) -> Self {
        let generation = || Generation {
            from_ms,
            ..Generation::default()
        };
        Self {
            window_ms,
            entries_max,
            newer: generation(),
            older: generation(),
        }
    }

    /// From when on all receipts are known, Unix milliseconds.
    pub const fn since_ms(&self) -> u64 {
        self.older.from_ms
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.newer.entries.len() + self.older.entries.len()
    }

    /// Takes a receipt that was stored at `at_ms`. What was stored at `keep_from_ms` or later is kept as long
    /// as there is room.
    pub fn note(&mut self, receipt: &ReceiptOf, at_ms: u64, keep_from_ms: u64) {
        let old = at_ms.saturating_sub(self.newer.from_ms) >= self.window_ms;
        if (old && self.newer.from_ms <= keep_from_ms) || self.newer.entries.len() >= self.entries_max {
            let next = Generation {
                from_ms: at_ms.max(self.newer.from_ms) + 1,
                ..Generation::default()
            };
            self.older = std::mem::replace(&mut self.newer, next);
        }
        let entry = self
            .newer
            .entries
            .entry((receipt.user, receipt.conversation))
            .or_default();
        *entry = entry.and(Reached::of(receipt));
    }

    /// How far a user has got, as far as it is known.
    pub fn reached(&self, user: UserId, conversation: Conversation) -> Reached {
        let of = |generation: &Generation| {
            let entry = generation.entries.get(&(user, conversation));
            entry.copied().unwrap_or_default()
        };
        of(&self.newer).and(of(&self.older))
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::wire::Cursor;
    use proptest::prelude::*;

    use super::*;

    const WINDOW_MS: u64 = 1_000;
    const FAR: u64 = u64::MAX;

    fn user(number: u128) -> UserId {
        UserId::from_parts(1, number)
    }

    fn receipt(of: u128, foreground: u64, delivered: u64, read: u64) -> ReceiptOf {
        ReceiptOf {
            conversation: Conversation::dm(user(0), user(of)),
            user: user(of),
            cursor: Cursor { delivered, read },
            foreground,
        }
    }

    fn known(generations: &Generations, of: u128) -> Reached {
        generations.reached(user(of), Conversation::dm(user(0), user(of)))
    }

    #[test]
    fn cursors_only_rise() {
        let mut generations = Generations::new(WINDOW_MS, 10, 0);
        generations.note(&receipt(1, 5, 9, 0), 10, FAR);
        generations.note(&receipt(1, 0, 7, 3), 20, FAR);
        let expected = Reached {
            foreground: 5,
            delivered: 9,
            read: 3,
        };
        assert_eq!(known(&generations, 1), expected);
        assert_eq!(known(&generations, 2), Reached::default());
    }

    #[test]
    fn what_is_needed_is_kept_beyond_the_window_while_there_is_room() {
        let mut generations = Generations::new(WINDOW_MS, 10, 5_000);
        for at_ms in [5_100, 6_100, 7_200, 8_300] {
            generations.note(&receipt(1, 1, 1, 0), at_ms, 4_000);
        }
        assert_eq!(generations.since_ms(), 5_000);
        generations.note(&receipt(2, 1, 1, 0), 8_400, 8_400);
        generations.note(&receipt(2, 1, 1, 0), 9_500, 9_000);
        assert_eq!(generations.since_ms(), 8_401);
        assert_eq!(known(&generations, 1), Reached::default(), "of before");
        for other in 0..12 {
            generations.note(&receipt(other, 1, 1, 0), 9_600, 0);
        }
        assert_eq!(generations.since_ms(), 9_501, "there was no room");
        assert!(generations.len() <= 20);
    }

    proptest! {
        #[test]
        fn what_is_told_is_whole_and_bounded(
            steps in proptest::collection::vec((0_u64..300, 0_u128..6, 1_u64..50), 1..200),
            entries_max in 1_usize..5,
        ) {
            let mut generations = Generations::new(WINDOW_MS, entries_max, 0);
            let (mut at_ms, mut all) = (0, Vec::new());
            for (pause, of, seq) in steps {
                at_ms += pause;
                let receipt = receipt(of, seq, seq, seq);
                generations.note(&receipt, at_ms, FAR);
                all.push((at_ms, of, seq));
                prop_assert!(generations.len() <= 2 * entries_max);
                for of in 0..6 {
                    let since = all.iter().filter(|(at, to, _)| *at >= generations.since_ms() && *to == of);
                    let wanted = since.map(|(_, _, seq)| *seq).max().unwrap_or(0);
                    prop_assert!(known(&generations, of).read >= wanted);
                    let ever = all.iter().filter(|(_, to, _)| *to == of).map(|(_, _, seq)| *seq).max();
                    prop_assert!(known(&generations, of).read <= ever.unwrap_or(0));
                }
            }
        }
    }
}
