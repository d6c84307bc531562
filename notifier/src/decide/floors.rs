//! Since when something is undecided: for so long receipts must be known. After a time in which nobody
//! decided, that is longer than the usual window.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{
        self,
        consumer::{Info, PullConsumer},
    },
};
use natterjack_nats::{
    Shard, Shards,
    direct::{self, Bounds},
    topology::{NOTIFIER, chat_stream},
};

use crate::outcome::Outcomes;

const FIRST: Bounds = Bounds {
    messages: 1,
    bytes: 1 << 20,
    timeout: Duration::from_secs(3),
};
/// Nothing is undecided.
const NOTHING: u64 = u64::MAX;

/// By shard, when the oldest undecided message was stored, or one before it; cheap to clone.
#[derive(Clone)]
pub struct Floors {
    client: Client,
    shards: Shards,
    outcomes: Outcomes,
    oldest_ms: Arc<Mutex<Vec<u64>>>,
}

impl Floors {
    /// Nothing is known yet.
    pub fn new(client: Client, shards: Shards, outcomes: Outcomes) -> Self {
        Self {
            client,
            shards,
            outcomes,
            oldest_ms: Arc::new(Mutex::new(vec![NOTHING; shards.all().count()])),
        }
    }

    /// Looks at all shards, before anything is decided. What cannot be read is looked at later.
    pub async fn look(&self) {
        let context = jetstream::new(self.client.clone());
        for shard in self.shards.all() {
            let consumer: Result<PullConsumer, _> = context
                .get_consumer_from_stream(NOTIFIER, &chat_stream(shard))
                .await;
            if let Ok(consumer) = consumer {
                self.note(shard, consumer.cached_info()).await;
            }
        }
    }

    /// What the server says of a shard's consumer.
    pub async fn note(&self, shard: Shard, info: &Info) {
        let idle = info.num_pending == 0 && info.num_ack_pending == 0;
        let oldest_ms = if idle {
            NOTHING
        } else {
            let from = info.ack_floor.stream_sequence + 1;
            match direct::next(&self.client, &chat_stream(shard), from, FIRST).await {
                Ok(batch) => batch
                    .messages
                    .first()
                    .map_or(NOTHING, direct::Direct::stored_at_ms),
                Err(error) => {
                    tracing::debug!(%shard, %error, "the oldest undecided message could not be read");
                    return;
                }
            }
        };
        let mut all = self.oldest_ms.lock().unwrap_or_else(PoisonError::into_inner);
        all[shard.index()] = oldest_ms;
        self.outcomes
            .keep_from(all.iter().copied().min().unwrap_or(NOTHING));
    }
}
