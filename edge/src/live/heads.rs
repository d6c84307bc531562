//! Comparing heads: what was stored last in each conversation of a user, told to the user's sessions,
//! which repair what they miss. A lost *last* message is announced by nothing else.
//!
//! The service knows what was stored lately without a look at the streams. While it is away, the
//! streams are asked, which costs nats-server a walk over all their subjects for each user.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use natterjack_nats::{
    Conversation, Shard, UserId,
    direct::{self, Bounds, DirectError},
    services::{
        self,
        conversations::{Heads, Stand},
    },
    subjects,
    topology::chat_stream,
    wire::{Code, WireError},
};

use super::{feed::UserFeed, hub::Hub, outlet::Delivery};
use crate::app::SERVICE_TIMEOUT;

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
    /// Tells the sessions of a user what was stored last in each of their conversations.
    ///
    /// # Errors
    /// Neither the service nor the streams answered.
    pub async fn compare_heads(&self, user: UserId) -> Result<(), WireError> {
        match self.feed(user) {
            Some(feed) => self.compare(&feed).await,
            None => Ok(()),
        }
    }

    pub(super) async fn compare(&self, feed: &Arc<UserFeed>) -> Result<(), WireError> {
        let request = {
            let places = feed.places();
            Heads {
                user: feed.user,
                groups: places.groups(),
                after: self.inner.shards.all().map(|shard| places.told(shard)).collect(),
            }
        };
        match services::call(&self.inner.nats.service, &request, SERVICE_TIMEOUT).await {
            Ok(Stand { heads, told }) => {
                tell(feed, heads, told);
                Ok(())
            }
            // The streams answer whether or not the service does.
            Err(error) if matches!(error.code, Code::Unavailable | Code::Timeout) => {
                self.compare_with_streams(feed).await
            }
            Err(error) => Err(error),
        }
    }

    async fn compare_with_streams(&self, feed: &Arc<UserFeed>) -> Result<(), WireError> {
        let shards = stream::iter(self.inner.shards.all())
            .map(|shard| async move { (shard, self.heads(feed, shard).await) })
            .buffer_unordered(SHARDS_AT_A_TIME)
            .collect::<Vec<_>>()
            .await;
        let mut result = Ok(());
        for (shard, heads) in shards {
            match heads {
                Ok(heads) => {
                    let mut told = vec![0; shard.index() + 1];
                    told[shard.index()] = heads.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
                    tell(feed, heads, told);
                }
                // It would be the same again.
                Err(error @ (DirectError::TooMany | DirectError::Refused(_))) => {
                    tracing::debug!(user = %feed.user, %error, "heads cannot be compared");
                }
                Err(error) => result = Err(WireError::new(Code::Unavailable, error.to_string())),
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

/// Tells all sessions of a user, and notes up to where.
fn tell(feed: &UserFeed, heads: Vec<(Conversation, u64)>, told: Vec<u64>) {
    if !heads.is_empty() {
        feed.deliver(&Delivery::Heads(heads.into()));
    }
    for (known, told) in feed.places().told.iter_mut().zip(told) {
        *known = told.max(*known);
    }
}
