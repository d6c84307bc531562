//! Durable consumers.
//!
//! | consumer | on | whose |
//! |---|---|---|
//! | `persister` | every `CHAT_<shard>`, and `RECEIPTS` | the persister; shared by all its instances |

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};

use super::{RECEIPTS, Settings, chat_stream};

/// The persister's durable name on every stream that it reads.
pub const PERSISTER: &str = "persister";

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
    let chat = settings.shards.all().map(chat_stream);
    chat.chain([RECEIPTS.into()])
        .map(|stream| (stream, persister.clone()))
        .collect()
}
