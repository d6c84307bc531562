//! Per shard, the sequence up to which Postgres has everything.
//!
//! A shard's watermark is the ack floor of the persister's durable consumer: it acks a message
//! only after the commit that wrote it (or its dead letter), and the consumer has no filter, so
//! that everything at or below the floor is in Postgres. The floor we know is a copy that is up
//! to a refresh old, and a newly elected leader may know an older one: it only ever lags, which
//! is the safe side, since readers then take a little more from the stream and drop what they have
//! twice. No case is special: on a stream without messages, or before the first ack, the floor
//! is 0 and readers look at the whole (short) stream; once nothing is pending the server lifts
//! the floor to the last delivered sequence by itself. Nothing is ever derived from "nothing is
//! pending" here, because messages may be stored between that answer and its use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::{Context, consumer};
use futures::future::join_all;
use natterjack_nats::{Shard, Shards, topology};

/// How often the watermarks are looked at.
const REFRESH: Duration = Duration::from_millis(250);

/// The watermarks of all shards; cheap to clone.
#[derive(Debug, Clone)]
pub struct Watermarks {
    floors: Arc<[AtomicU64]>,
    /// What none of them may pass: the database was put back, and is not complete beyond.
    caps: Arc<[AtomicU64]>,
}

impl Watermarks {
    /// All at 0, which is always true.
    #[must_use]
    pub fn new(shards: Shards) -> Self {
        Self {
            floors: shards.all().map(|_| AtomicU64::new(0)).collect(),
            caps: shards.all().map(|_| AtomicU64::new(u64::MAX)).collect(),
        }
    }

    /// That of one shard.
    #[must_use]
    pub fn of(&self, shard: Shard) -> u64 {
        let at = shard.index();
        let load = |all: &[AtomicU64], none| all.get(at).map_or(none, |one| one.load(Ordering::Acquire));
        load(&self.floors, 0).min(load(&self.caps, u64::MAX))
    }

    /// Those of all shards, in order.
    #[must_use]
    pub fn all(&self) -> Vec<u64> {
        let both = self.floors.iter().zip(self.caps.iter());
        both.map(|(floor, cap)| floor.load(Ordering::Acquire).min(cap.load(Ordering::Acquire)))
            .collect()
    }

    /// Whatever the consumer of a shard has acked, the database is complete up to `seq` only.
    pub fn hold_at(&self, shard: Shard, seq: u64) {
        if let Some(cap) = self.caps.get(shard.index()) {
            cap.store(seq, Ordering::Release);
        }
    }

    /// The acks count again.
    pub fn release(&self, shard: Shard) {
        self.hold_at(shard, u64::MAX);
    }

    /// Asks for all of them once.
    ///
    /// # Errors
    /// The first that was not answered; the others were refreshed.
    pub async fn refresh(&self, context: &Context, shards: Shards) -> Result<(), RefreshError> {
        let asked = shards.all().map(|shard| async move {
            let stream = topology::chat_stream(shard);
            let consumer: consumer::PullConsumer = context
                .get_consumer_from_stream(topology::PERSISTER, &stream)
                .await
                .map_err(|error| RefreshError {
                    stream,
                    why: error.to_string(),
                })?;
            let info = consumer.cached_info();
            if let Some(floor) = self.floors.get(shard.index()) {
                floor.store(info.ack_floor.stream_sequence, Ordering::Release);
            }
            Ok(())
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Keeps them fresh for ever.
    pub async fn keep_fresh(self, context: Context, shards: Shards) {
        let mut failing = false;
        loop {
            tokio::time::sleep(REFRESH).await;
            match self.refresh(&context, shards).await {
                Ok(()) if std::mem::take(&mut failing) => tracing::info!("watermarks are fresh again"),
                Ok(()) => {}
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "watermarks stand still");
                }
                Err(_) => {}
            }
        }
    }
}

/// A shard's watermark could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the consumer of {stream} does not tell its ack floor: {why}. Is the cluster provisioned?")]
pub struct RefreshError {
    stream: String,
    why: String,
}
