//! Where the conversations of a user stand, for an edge that compares it with what it heard live.
//!
//! An edge asks a moment after a session has opened, about what came since: the index of what was
//! stored lately has that, without a look at Postgres or at the subjects of a stream.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use natterjack_nats::{
    Conversation, Shard,
    services::conversations::{Heads, Stand},
    wire::Code,
};

use super::{Conversations, lasts, rows};
use crate::{
    db::Tx,
    failure::Failure,
    recent::{self, Hold, Missing},
};

/// Conversations that Postgres names at most. With more news than that nothing counts as told, so that
/// it is asked for again.
const HEADS_MAX: usize = 4_000;

impl Conversations {
    /// The heads beyond what the edge knows.
    pub async fn heads(&self, request: Heads) -> Result<Stand, Failure> {
        let Heads { user, groups, after } = &request;
        if after.len() != usize::from(self.shards.count()) {
            return Err(Failure::wire(
                Code::BadRequest,
                "a sequence is needed for each shard of this cluster",
            ));
        }
        // What the watermarks have passed by now is in Postgres when it is asked below.
        let hold = self.recent.hold();
        let asked = self
            .shards
            .all()
            .map(|shard| self.of_shard(&request, &hold, shard));
        let shards = try_join_all(asked).await?;
        let mut told: Vec<u64> = shards
            .iter()
            .zip(after)
            .map(|(shard, after)| shard.upto.max(*after))
            .collect();
        let mut heads: BTreeMap<Conversation, u64> = BTreeMap::new();
        // Those of which the index does not reach back so far.
        let older = shards
            .iter()
            .zip(after)
            .filter(|(shard, after)| shard.beyond > **after);
        if let Some(lowest) = older.map(|(_, after)| *after).min() {
            let read = |tx: Tx| async move { rows::beyond(&tx, *user, lowest, HEADS_MAX + 1).await };
            let found = self.db.read_planned("conversations.heads", read).await?;
            if found.len() > HEADS_MAX {
                told.clone_from(after);
            }
            let news = found.into_iter().filter(|(conversation, head)| {
                let mine = match conversation {
                    Conversation::Group(group) => groups.contains(group),
                    Conversation::Dm(_) | Conversation::User(_) => true,
                };
                mine && *head > after[self.shards.of(conversation).index()]
            });
            heads.extend(news.take(HEADS_MAX));
        }
        for (conversation, head) in shards.into_iter().flat_map(|shard| shard.heads) {
            let known = heads.entry(conversation).or_default();
            *known = head.max(*known);
        }
        Ok(Stand {
            heads: heads.into_iter().collect(),
            told,
        })
    }

    async fn of_shard(&self, request: &Heads, hold: &Hold, shard: Shard) -> Result<recent::Heads, Failure> {
        let Heads { user, groups, after } = request;
        let after = after[shard.index()];
        match hold.heads(shard, *user, groups, after).await {
            Ok(heads) => Ok(heads),
            Err(Missing::Away(error)) => Err(error.into()),
            Err(Missing::TooMuch) => {
                let lasts = lasts::of_shard(&self.client, self.shards, shard, after, *user, groups).await?;
                let heads: Vec<_> = lasts.heads.iter().map(|(of, head)| (*of, head.seq)).collect();
                let highest = heads.iter().map(|(_, head)| *head).max();
                Ok(recent::Heads {
                    beyond: after,
                    upto: highest.filter(|_| lasts.complete).unwrap_or(after),
                    heads,
                })
            }
        }
    }
}
