//! The messages that one shard stored lately, by conversation. Pure.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use natterjack_nats::{Conversation, GroupId, UserId, wire::Stored};

/// Messages that are kept although nobody who asks for content needs them any more: whoever asks a
/// little later where conversations stand is then answered from here.
pub const KEPT: usize = 4_096;
/// Unread messages that are skipped rather than read when Postgres has them. Reading as many costs
/// about what it costs to ask Postgres once.
const SKIPPED_FROM: u64 = 256;

/// A message of the index.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its place.
    pub seq: u64,
    /// The message, its text shortened to what a preview shows; absent if it cannot be decoded, or
    /// if Postgres has had it for a while.
    pub stored: Option<Arc<Stored>>,
}

/// All messages of a shard in a span of sequences. It grows at its end by what is read and shrinks
/// at its beginning.
#[derive(Debug, Default)]
pub struct Index {
    /// Everything beyond this one is here …
    base: u64,
    /// … up to this one.
    upto: u64,
    /// Beyond this one with its content.
    whole_from: u64,
    /// In the order of the stream.
    entries: VecDeque<(u64, Conversation)>,
    /// How many of them, from the first on, have no content any more.
    thin: usize,
    conversations: HashMap<Conversation, VecDeque<Head>>,
    /// The 1:1 chats among them, by each of the two users.
    chats: HashMap<UserId, HashSet<Conversation>>,
}

impl Index {
    /// Everything beyond this one is known, as far as it was read.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The last that was read.
    pub const fn upto(&self) -> u64 {
        self.upto
    }

    /// Of everything beyond this one the content is known, as far as it was read.
    pub const fn whole_from(&self) -> u64 {
        self.whole_from
    }

    /// How many messages there are with their content.
    pub fn whole(&self) -> usize {
        self.entries.len() - self.thin
    }

    /// Nobody asks for the content of messages up to `floor` any more, and somebody may ask for
    /// everything beyond it.
    pub fn advance(&mut self, floor: u64) {
        // Below, it is read again rather than half known.
        if floor < self.whole_from || floor > self.upto.saturating_add(SKIPPED_FROM) {
            return self.restart(floor);
        }
        self.whole_from = floor;
        while let Some((seq, conversation)) = self.entries.get(self.thin).filter(|(seq, _)| *seq <= floor) {
            if let Some(heads) = self.conversations.get_mut(conversation)
                && let Ok(at) = heads.binary_search_by_key(seq, |head| head.seq)
                && let Some(head) = heads.get_mut(at)
            {
                head.stored = None;
            }
            self.thin += 1;
        }
        while self.thin > 0 && self.entries.len() > KEPT {
            self.drop_first();
        }
    }

    /// Forgets all of it and begins after `floor`.
    pub fn restart(&mut self, floor: u64) {
        *self = Self {
            base: floor,
            upto: floor,
            whole_from: floor,
            ..Self::default()
        };
    }

    /// The message that follows the last one that was read; `conversation` is `None` if it belongs to
    /// none.
    pub fn push(&mut self, conversation: Option<Conversation>, mut head: Head) {
        if head.seq <= self.upto {
            return;
        }
        self.upto = head.seq;
        let Some(conversation) = conversation else { return };
        if head.seq <= self.whole_from {
            head.stored = None;
            self.thin += 1;
        }
        self.entries.push_back((head.seq, conversation));
        self.conversations
            .entry(conversation)
            .or_default()
            .push_back(head);
        for user in users(&conversation) {
            self.chats.entry(user).or_default().insert(conversation);
        }
    }

    /// What one conversation has beyond a sequence, ascending.
    pub fn of(&self, conversation: &Conversation, after: u64) -> impl Iterator<Item = &Head> {
        let heads = self.conversations.get(conversation);
        heads.into_iter().flat_map(move |heads| {
            let first = heads.partition_point(|head| head.seq <= after);
            heads.range(first..)
        })
    }

    /// The conversations of a user, who is in these groups, that have a message beyond a sequence, with
    /// the last one's.
    pub fn of_user(&self, user: UserId, groups: &[GroupId], after: u64) -> Vec<(Conversation, u64)> {
        let chats = self.chats.get(&user).into_iter().flatten().copied();
        let named = groups.iter().copied().map(Conversation::Group);
        let all = chats.chain(named).chain([Conversation::User(user)]);
        all.filter_map(|conversation| {
            let last = self.conversations.get(&conversation)?.back()?.seq;
            (last > after).then_some((conversation, last))
        })
        .collect()
    }

    fn drop_first(&mut self) {
        let Some((seq, conversation)) = self.entries.pop_front() else {
            return;
        };
        (self.base, self.thin) = (seq, self.thin.saturating_sub(1));
        let Some(heads) = self.conversations.get_mut(&conversation) else {
            return;
        };
        heads.pop_front();
        if heads.is_empty() {
            self.conversations.remove(&conversation);
            for user in users(&conversation) {
                if let Some(chats) = self.chats.get_mut(&user) {
                    chats.remove(&conversation);
                    if chats.is_empty() {
                        self.chats.remove(&user);
                    }
                }
            }
        }
    }
}

/// Those whom the name of a conversation tells.
fn users(conversation: &Conversation) -> impl Iterator<Item = UserId> + use<> {
    match conversation {
        Conversation::Dm(dm) => [Some(dm.low()), Some(dm.high())],
        Conversation::Group(_) | Conversation::User(_) => [None, None],
    }
    .into_iter()
    .flatten()
}
