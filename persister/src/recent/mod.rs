//! What the shards stored lately: an index in memory of what lies beyond the watermarks, read from
//! the streams once for all who ask at the same moment.
//!
//! To ask nats-server for the heads of one user costs it a walk over all subjects of a stream, so the
//! more the more conversations the stream holds. What Postgres does not have yet is short, whatever
//! the streams hold: it is read as a whole, each message once, and every user's part of it is picked
//! here.

mod index;
mod line;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_nats::Client;
use natterjack_nats::{Conversation, GroupId, Shard, Shards, UserId};

pub use index::Head;
pub use line::Missing;
pub(crate) use source::head;

use self::line::{Floor, Line};
use crate::watermarks::Watermarks;

/// The indexes of all shards; cheap to clone.
#[derive(Debug, Clone)]
pub struct Recent {
    lines: Arc<[Arc<Line<source::Stream>>]>,
    watermarks: Watermarks,
}

impl Recent {
    /// Nothing was read yet.
    #[must_use]
    pub fn new(client: &Client, shards: Shards, watermarks: &Watermarks) -> Self {
        let line = |shard| Arc::new(Line::new(source::Stream::new(client, shards, shard)));
        Self {
            lines: shards.all().map(line).collect(),
            watermarks: watermarks.clone(),
        }
    }

    /// Captures the watermarks of all shards: what Postgres answers from now on has everything up to
    /// them, and what lies beyond can be asked for as long as this is held.
    #[must_use]
    pub fn hold(&self) -> Hold {
        let watermarks = self.watermarks.all();
        let floors = self.lines.iter().zip(&watermarks);
        Hold {
            floors: floors.map(|(line, seq)| line.hold(*seq)).collect(),
            watermarks,
        }
    }

    /// The same for one shard of the cluster's.
    #[must_use]
    pub fn hold_one(&self, shard: Shard) -> HoldOne {
        HoldOne(self.lines[shard.index()].hold(self.watermarks.of(shard)))
    }
}

/// The watermarks of a moment, and what lies beyond them.
#[derive(Debug)]
pub struct Hold {
    floors: Vec<Floor<source::Stream>>,
    watermarks: Vec<u64>,
}

/// What a user has beyond a watermark: each conversation with its messages, ascending, none of them
/// empty.
pub type Beyond = Vec<(Conversation, Vec<Head>)>;

/// Where the conversations of a user stand in one shard.
#[derive(Debug)]
pub struct Heads {
    /// Each conversation with the sequence of its last message.
    pub heads: Vec<(Conversation, u64)>,
    /// Those are all whose last message lies beyond this sequence …
    pub beyond: u64,
    /// … up to this one.
    pub upto: u64,
}

impl Hold {
    /// By index of the shard.
    #[must_use]
    pub fn watermarks(&self) -> &[u64] {
        &self.watermarks
    }

    /// What a user, who is in these groups, has in a shard beyond its watermark: everything that was
    /// stored before this was called.
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn of_user(&self, shard: Shard, user: UserId, groups: &[GroupId]) -> Result<Beyond, Missing> {
        let floor = &self.floors[shard.index()];
        let see = |index: &index::Index| {
            let all = index.of_user(user, groups, floor.seq()).into_iter();
            let messages = |conversation| index.of(&conversation, floor.seq()).cloned().collect();
            all.map(|(conversation, _)| (conversation, messages(conversation)))
                .collect()
        };
        floor.look(see).await
    }

    /// Where the conversations of a user, who is in these groups, stand in a shard, if their last
    /// message lies beyond `after`; or beyond a higher sequence, at or below the watermark, if the
    /// index does not reach back so far.
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn heads(
        &self,
        shard: Shard,
        user: UserId,
        groups: &[GroupId],
        after: u64,
    ) -> Result<Heads, Missing> {
        let floor = &self.floors[shard.index()];
        let see = |index: &index::Index| {
            let beyond = after.max(index.base());
            Heads {
                heads: index.of_user(user, groups, beyond),
                beyond,
                upto: index.upto(),
            }
        };
        floor.look(see).await
    }
}

/// The watermark of one shard, and what lies beyond it.
#[derive(Debug)]
pub struct HoldOne(Floor<source::Stream>);

impl HoldOne {
    /// The watermark.
    #[must_use]
    pub const fn watermark(&self) -> u64 {
        self.0.seq()
    }

    /// What a conversation has beyond the watermark, ascending: everything that was stored before this
    /// was called.
    ///
    /// # Errors
    /// [`Missing`].
    pub async fn of(&self, conversation: &Conversation) -> Result<Vec<Head>, Missing> {
        let see = |index: &index::Index| index.of(conversation, self.0.seq()).cloned().collect();
        self.0.look(see).await
    }
}
