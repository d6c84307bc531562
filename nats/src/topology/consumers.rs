//! Durable consumers.
//!
//! | consumer | on | whose |
//! |---|---|---|
//! | `persister` | every `CHAT_<shard>`, and `RECEIPTS` | the persister; shared by all its instances |
//! | `notifier` | every `CHAT_<shard>`, and `RECEIPTS` | the notifier; shared by all its instances |
//! | `webpush`, `fcm` | the stream of the bucket `pushes` | the notifier; shared by all its instances |
//! | `presence` | the streams of the buckets `edges` and `sessions` | presence; shared by all its instances |

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};

use super::{Bucket, RECEIPTS, Settings, chat_stream};
use crate::{
    subjects::{chat, kv},
    wire::Channel,
};

/// The persister's durable name on every stream that it reads.
pub const PERSISTER: &str = "persister";

/// Presence's durable name on every stream that it reads.
pub const PRESENCE: &str = "presence";

/// The notifier's durable name on every stream of which it decides. On the stream of the bucket `pushes` it
/// has one consumer for each [`Channel`], by its name.
pub const NOTIFIER: &str = "notifier";

/// Most pushes of one [`Channel`] that may wait to be tried again.
pub const PUSHES_UNACKED_MAX: i64 = 1_000_000;

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
    let notifier = pull::Config {
        durable_name: Some(NOTIFIER.into()),
        description: Some(
            "Decides pushes, some seconds behind the head; what it puts off waits unacked".into(),
        ),
        max_ack_pending: 65_536,
        ..persister.clone()
    };
    let notifiers = settings.shards.all().map(|shard| {
        let chats = pull::Config {
            filter_subjects: chat::of_conversations(shard).into(),
            ..notifier.clone()
        };
        (chat_stream(shard), chats)
    });
    let withdrawals = (RECEIPTS.to_owned(), notifier.clone());
    let channels = Channel::ALL.iter().map(|channel| {
        let pushes = pull::Config {
            durable_name: Some(channel.as_str().into()),
            description: Some("Pushes; what is tried again later waits unacked".into()),
            filter_subject: kv::subject(Bucket::Pushes, &kv::pushes_of_channel(*channel)),
            // Longer than the longest request.
            ack_wait: Duration::from_secs(60),
            // All that wait for a push service that is away, for as long as a push is tried, count here: were
            // there more, nothing would be delivered for the others of the channel either. The notifier warns
            // before that.
            max_ack_pending: PUSHES_UNACKED_MAX,
            ..notifier.clone()
        };
        (Bucket::Pushes.stream_name(), pushes)
    });
    let pushes = notifiers.chain([withdrawals]).chain(channels);
    let chat = settings.shards.all().map(chat_stream);
    let persisters = chat
        .chain([RECEIPTS.into()])
        .map(|stream| (stream, persister.clone()));
    let buckets = [Bucket::Edges, Bucket::Sessions].map(|bucket| (bucket.stream_name(), presence.clone()));
    persisters.chain(buckets).chain(pushes).collect()
}
