//! The topology as data: one table each of streams, consumers and buckets.

mod buckets;
mod consumers;
mod streams;

pub use buckets::{Bucket, MARKERS_KEPT, PUSHES_KEPT, bucket_stream, buckets};
pub use consumers::{NOTIFIER, PERSISTER, PRESENCE, PUSHES_UNACKED_MAX, consumers};
pub use streams::{PUSH_DEAD, PUSH_TRACE, RECEIPTS, chat_stream, is_closed, set_closed, streams};

use std::time::Duration;

use crate::shard::Shards;

/// What an operator chooses when provisioning.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of shards; fixed for the life of the cluster.
    pub shards: Shards,
    /// Copies of every stream and bucket: 1, 3 or 5.
    pub replicas: usize,
    /// Most bytes that one chat stream holds before sends are refused with `overloaded`.
    pub chat_bytes_max: i64,
    /// How long a retry is recognised by the stream itself.
    pub dedupe_window: Duration,
    /// Whether chat streams that are made take messages only once a persister has opened them
    /// ([`is_closed`]): wherever there may be a history already.
    pub made_closed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: const { Shards::new(4).expect("4 is in range") },
            replicas: 1,
            chat_bytes_max: 1 << 30,
            dedupe_window: Duration::from_secs(120),
            made_closed: false,
        }
    }
}
