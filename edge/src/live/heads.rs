//! Comparing heads: what a stream has last in each conversation of a user, told to the user's
//! sessions, which repair what they miss. A lost *last* message is announced by nothing else.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use natterjack_nats::{
    Conversation, Shard, UserId,
    direct::{self, Bounds, DirectError},
    subjects,
    topology::chat_stream,
};

use super::{feed::UserFeed, hub::Hub, outlet::Delivery};

/// Bounds of one read of heads.
const BOUNDS: Bounds = Bounds {
    messages: 1_000,
    bytes: 1 << 20,
    timeout: Duration::from_secs(5),
};
/// Reads of one shard for one user: as many heads as a resume covers.
const READS: usize = 16;
/// Shards that are asked at a time.
const SHARDS_AT_A_TIME: usize = 4;

impl Hub {
    /// Tells the sessions of a user what the streams have last in each of their conversations.
    ///
    /// # Errors
    /// A stream did not answer.
    pub async fn compare_heads(&self, user: UserId) -> Result<(), DirectError> {
        match self.feed(user) {
            Some(feed) => self.compare(&feed).await,
            None => Ok(()),
        }
    }

    pub(super) async fn compare(&self, feed: &Arc<UserFeed>) -> Result<(), DirectError> {
        let shards = stream::iter(self.inner.shards.all())
            .map(|shard| async move { (shard, self.heads(feed, shard).await) })
            .buffer_unordered(SHARDS_AT_A_TIME)
            .collect::<Vec<_>>()
            .await;
        let mut result = Ok(());
        for (shard, heads) in shards {
            match heads {
                Ok(heads) if heads.is_empty() => {}
                Ok(heads) => {
                    let highest = heads.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
                    feed.deliver(&Delivery::Heads(heads.into()));
                    let mut places = feed.places();
                    if let Some(told) = places.told.get_mut(shard.index()) {
                        *told = highest.max(*told);
                    }
                }
                // More subjects than the server answers for: it would refuse again.
                Err(DirectError::Refused(reason)) => {
                    tracing::debug!(user = %feed.user, reason, "heads cannot be compared");
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    async fn heads(&self, feed: &UserFeed, shard: Shard) -> Result<Vec<(Conversation, u64)>, DirectError> {
        let (told, groups) = {
            let places = feed.places();
            (places.told(shard), places.groups())
        };
        let shards = self.inner.shards;
        let filters = subjects::chat::of_user(shards, shard, feed.user, groups);
        let (stream, mut from, mut heads) = (chat_stream(shard), told + 1, vec![]);
        for _ in 0..READS {
            let client = &self.inner.nats.service;
            let batch = direct::last_by_subject_from(client, &stream, &filters, from, BOUNDS).await?;
            let found = batch.messages.iter();
            heads.extend(
                found.filter_map(|last| Some((subjects::chat::parse(shards, &last.subject)?, last.seq))),
            );
            match batch.messages.last() {
                Some(last) if batch.more => from = last.seq + 1,
                _ => break,
            }
        }
        Ok(heads)
    }
}
