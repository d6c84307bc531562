//! Who shares a conversation with a user: what the privacy setting `contacts` asks.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use natterjack_nats::{
    Conversation, Shard, UserId, limits::WATCH_USERS_MAX, services::conversations::Related, wire::Code,
};
use uuid::Uuid;

use super::{Conversations, lasts};
use crate::{
    db::{DbError, Tx},
    failure::Failure,
};

impl Conversations {
    /// Those of `others` with whom the user shares a group, or a 1:1 chat with a message in it, though
    /// it may be in the stream only as yet: people look at each other right after the first message.
    ///
    /// # Errors
    /// `bad_request` for too many; Postgres or a stream is away.
    pub async fn related(&self, request: Related) -> Result<Vec<UserId>, Failure> {
        let Related { user, others } = request;
        if others.len() > WATCH_USERS_MAX {
            let message = format!("ask for at most {WATCH_USERS_MAX} users at once");
            return Err(Failure::wire(Code::BadRequest, message));
        }
        let others: BTreeSet<_> = others.into_iter().filter(|other| *other != user).collect();
        if others.is_empty() {
            return Ok(vec![]);
        }
        // Before Postgres is asked: what it does not have yet is beyond them.
        let watermarks = self.watermarks.all();
        let keys: &Vec<Uuid> = &others.iter().map(|other| other.as_uuid()).collect();
        let read = |tx: Tx| async move { in_common(&tx, user, keys).await };
        let mut related = self.db.read("conversations.related", read).await?;
        let mut rest = others;
        for found in &related {
            rest.remove(found);
        }
        related.extend(self.in_streams(user, &rest, &watermarks).await?);
        Ok(related)
    }

    /// Those whose 1:1 chat with the user has a message beyond the watermarks.
    async fn in_streams(
        &self,
        user: UserId,
        others: &BTreeSet<UserId>,
        watermarks: &[u64],
    ) -> Result<Vec<UserId>, Failure> {
        let mut by_shard: BTreeMap<Shard, Vec<Conversation>> = BTreeMap::new();
        for other in others {
            let dm = Conversation::dm(user, *other);
            by_shard.entry(self.shards.of(&dm)).or_default().push(dm);
        }
        let asked = by_shard.into_iter().map(|(shard, chats)| async move {
            let after = watermarks.get(shard.index()).copied().unwrap_or_default();
            lasts::with_messages(&self.client, self.shards, shard, &chats, after).await
        });
        let found = try_join_all(asked).await?.into_iter().flatten();
        let peer = |conversation| match conversation {
            Conversation::Dm(dm) => dm.peer_of(user),
            _ => None,
        };
        Ok(found.filter_map(peer).collect())
    }
}

/// By the rows of `members`, in which the two of a 1:1 chat stand from its first message on: the
/// user's conversations by one index, and the others in each by the primary key.
async fn in_common(tx: &Tx, user: UserId, others: &Vec<Uuid>) -> Result<Vec<UserId>, DbError> {
    let rows = tx
        .query(
            "select distinct other.user_id
             from members mine join members other on other.conversation = mine.conversation
             where mine.user_id = $1 and other.user_id = any($2)",
            &[&user.as_uuid(), others],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(UserId::from_uuid(row.try_get(0)?)))
        .collect()
}
