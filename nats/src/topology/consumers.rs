//! Durable consumers.
//!
//! | consumer | on | whose |
//! |---|---|---|
//! | `persister` | every `CHAT_<shard>`, and `RECEIPTS` | the persister; shared by all its instances |
//! | `presence` | the streams of the buckets `edges` and `sessions` | presence; shared by all its instances |

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};

use super::{Bucket, RECEIPTS, Settings, chat_stream};

/// The persister's durable name on every stream that it reads.
pub const PERSISTER: &str = "persister";

/// Presence's durable name on every stream that it reads.
pub const PRESENCE: &str = "presence";

/// All consumers, each with its stream's name.
#[must_use]
pub fn consumers(settings: &Settings) -> Vec<(String, pull::Config)> {
    let persister = pull::Config {
        durable_name: Some(PERSISTER.into()),
        description: Some("Writes to Postgres, then acks; its ack floor is the shard's watermark".into()),
        deliver_policy: DeliverPolicy::All,
        replay_policy: ReplayPolicy::Instant,
        // Every message is acked by itself: acking a range would lose a failed row in it.
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(30),
        max_deliver: -1,
        max_ack_pending: 8_192,
        num_replicas: settings.replicas,
        ..pull::Config::default()
    };
    let presence = pull::Config {
        durable_name: Some(PRESENCE.into()),
        description: Some("Works out who is there; what it puts off for the grace waits unacked".into()),
        // A look takes milliseconds; what a process that was killed held is looked at by another after this.
        ack_wait: Duration::from_secs(10),
        // All that wait for the grace, when many go at once, must not keep others waiting.
        max_ack_pending: 65_536,
        ..persister.clone()
    };
    let chat = settings.shards.all().map(chat_stream);
    let persisters = chat
        .chain([RECEIPTS.into()])
        .map(|stream| (stream, persister.clone()));
    let buckets = [Bucket::Edges, Bucket::Sessions].map(|bucket| (bucket.stream_name(), presence.clone()));
    persisters.chain(buckets).collect()
}
