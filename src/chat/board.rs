//! Short numbers for the messages on the screen, by which commands name them.

use std::collections::{BTreeMap, HashMap};

use natterjack_nats::Conversation;

/// Older messages lose their numbers.
const NUMBERED_MAX: usize = 2_000;

/// A message's conversation and sequence.
pub(super) type Place = (Conversation, u64);

#[derive(Debug, Default)]
pub(super) struct Board {
    last: u32,
    places: BTreeMap<u32, Place>,
    numbers: HashMap<Place, u32>,
}

impl Board {
    /// The number of a message; a new one if it has none yet.
    pub(super) fn number(&mut self, place: Place) -> u32 {
        if let Some(number) = self.numbers.get(&place) {
            return *number;
        }
        self.last += 1;
        self.places.insert(self.last, place);
        self.numbers.insert(place, self.last);
        if self.places.len() > NUMBERED_MAX
            && let Some((_, oldest)) = self.places.pop_first()
        {
            self.numbers.remove(&oldest);
        }
        self.last
    }

    /// The number of a message that is on the screen.
    pub(super) fn known(&self, place: Place) -> Option<u32> {
        self.numbers.get(&place).copied()
    }

    /// The message of that number.
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        self.places.get(&number).copied()
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::GroupId;

    use super::*;

    #[test]
    fn numbers_are_stable_and_bounded() {
        let conversation = Conversation::Group(GroupId::from_parts(1, 1));
        let mut board = Board::default();
        assert_eq!(board.number((conversation, 70)), 1);
        assert_eq!(board.number((conversation, 71)), 2);
        assert_eq!(board.number((conversation, 70)), 1);
        for seq in 100..100 + NUMBERED_MAX as u64 {
            board.number((conversation, seq));
        }
        assert_eq!(board.place(1), None);
        assert_eq!(board.known((conversation, 70)), None);
        assert_eq!(board.places.len(), NUMBERED_MAX);
    }
}
