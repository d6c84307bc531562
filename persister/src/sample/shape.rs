//! How a sample history is spread over conversations: which exist, who is in them, and how often
//! each is written to.

use std::collections::BTreeMap;

use natterjack_nats::{Conversation, GroupId, UserId};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

/// When the first message of a sample was sent, Unix milliseconds.
pub(super) const START_MS: u64 = 1_700_000_000_000;
/// Milliseconds from one message to the next.
pub(super) const STEP_MS: u64 = 10;
/// Of a hundred messages, those in 1:1 chats; the others are in groups.
const DM_PERCENT: u64 = 70;
/// Messages of a 1:1 chat and of a group, on average.
const DM_MESSAGES: u64 = 50;
const GROUP_MESSAGES: u64 = 300;
/// Fewest and most members of a group.
const MEMBERS: std::ops::RangeInclusive<usize> = 3..=100;
/// The largest 1:1 chats, which belong to every reader.
const LARGEST: usize = 4;

/// What a sample looks like. The same shape gives the same sample.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Messages.
    pub rows: u64,
    /// Bytes of a message's text.
    pub text_bytes: u32,
    /// Users with accounts, who can look at it.
    pub readers: Vec<Reader>,
}

/// A user of whom it is known how many conversations they have.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Who; the account exists.
    pub user: UserId,
    /// How many conversations, the largest ones and a tenth of groups among them.
    pub conversations: usize,
}

/// A conversation of a sample.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    /// Which.
    pub conversation: Conversation,
    /// Who is in it.
    pub members: Vec<UserId>,
}

/// All conversations: first the 1:1 chats, then the groups, each from the largest to the smallest.
pub(super) struct World {
    pub chats: Vec<Chat>,
    pub dms: usize,
    /// Everybody but the readers.
    pub users: Vec<UserId>,
}

impl Shape {
    fn dms(&self) -> usize {
        let wanted = self.rows * DM_PERCENT / 100 / DM_MESSAGES;
        // Readers have as many as was said, however short the history is.
        let least = self
            .readers
            .iter()
            .map(|reader| reader.conversations)
            .sum::<usize>()
            * 2;
        usize::try_from(wanted)
            .unwrap_or(usize::MAX)
            .max(least)
            .max(LARGEST * 8)
    }

    fn groups(&self) -> usize {
        let wanted = self.rows * (100 - DM_PERCENT) / 100 / GROUP_MESSAGES;
        let least = self
            .readers
            .iter()
            .map(|reader| reader.conversations)
            .sum::<usize>()
            / 5;
        usize::try_from(wanted).unwrap_or(usize::MAX).max(least).max(4)
    }

    /// Draws the conversations.
    pub(super) fn world(&self) -> World {
        let mut random = StdRng::seed_from_u64(self.rows);
        let (dms, groups) = (self.dms(), self.groups());
        // About twenty 1:1 chats a user, as where people know each other.
        let most = self.readers.iter().map(|reader| reader.conversations).max();
        let count = (dms / 10).max(200).max(most.unwrap_or_default());
        let mut user = |at: usize| {
            let made_ms = START_MS - 1_000_000_000 + at as u64;
            UserId::from_parts(made_ms, random.next_u64().into())
        };
        let users: Vec<UserId> = (0..count).map(&mut user).collect();
        let one = |random: &mut StdRng| users[random.random_range(0..users.len())];
        let mut chats = Vec::with_capacity(dms + groups);
        let mut partners = BTreeMap::<UserId, usize>::new();
        for owner in self.owners(dms) {
            let (a, b) = if let Some(reader) = owner {
                // Each with somebody else.
                let partner = partners.entry(reader).or_default();
                *partner += 1;
                (reader, users[*partner - 1])
            } else {
                let a = random.random_range(0..users.len());
                (
                    users[a],
                    users[(a + random.random_range(1..users.len())) % users.len()],
                )
            };
            chats.push(Chat {
                conversation: Conversation::dm(a, b),
                members: vec![a, b],
            });
        }
        for at in 0..groups {
            let size = random.random_range(MEMBERS);
            let mut members: Vec<UserId> = (0..size).map(|_| one(&mut random)).collect();
            members.extend(self.readers_of_group(at, groups));
            members.sort_unstable();
            members.dedup();
            let made_ms = START_MS - 1_000_000 + at as u64;
            chats.push(Chat {
                conversation: Conversation::Group(GroupId::from_parts(made_ms, random.next_u64().into())),
                members,
            });
        }
        World { chats, dms, users }
    }

    /// Whose 1:1 chat stands at each place, if a reader's: the largest ones in turn, the others
    /// spread over all sizes.
    fn owners(&self, dms: usize) -> Vec<Option<UserId>> {
        let mut owners = vec![None; dms];
        let largest = LARGEST * self.readers.len();
        for (owner, reader) in owners.iter_mut().zip(self.readers.iter().cycle()).take(largest) {
            *owner = Some(reader.user);
        }
        let rest = dms - largest;
        for reader in &self.readers {
            let own = reader.dms().saturating_sub(LARGEST);
            for at in 0..own {
                let mut place = largest + at * rest / own;
                // Taken by another reader: there are twice as many as all of them have.
                while owners[place].is_some() {
                    place = largest + (place + 1 - largest) % rest;
                }
                owners[place] = Some(reader.user);
            }
        }
        owners
    }

    fn readers_of_group(&self, at: usize, groups: usize) -> impl Iterator<Item = UserId> {
        let has = move |reader: &&Reader| {
            let own = reader.groups();
            // As `at * groups / own` names them.
            own > 0 && (at * own).div_ceil(groups) < own && (at * own).div_ceil(groups) * groups / own == at
        };
        self.readers.iter().filter(has).map(|reader| reader.user)
    }
}

impl Reader {
    const fn groups(&self) -> usize {
        self.conversations / 10
    }

    const fn dms(&self) -> usize {
        self.conversations - self.groups()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_as_many_as_was_said() {
        let reader = |n, conversations| Reader {
            user: UserId::from_parts(n, 1),
            conversations,
        };
        for rows in [2_000, 200_000] {
            let shape = Shape {
                rows,
                text_bytes: 200,
                readers: vec![reader(1, 25), reader(2, 300)],
            };
            let world = shape.world();
            for reader in &shape.readers {
                let own = world
                    .chats
                    .iter()
                    .filter(|chat| chat.members.contains(&reader.user));
                assert_eq!(own.count(), reader.conversations, "{rows}");
            }
            let names: std::collections::BTreeSet<_> =
                world.chats.iter().map(|chat| chat.conversation).collect();
            assert!(
                names.len() * 100 > world.chats.len() * 97,
                "{rows}: names are drawn twice"
            );
        }
    }
}
