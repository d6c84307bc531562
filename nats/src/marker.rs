//! Markers: what stands in a bucket for a while in place of an entry that ended, so that whoever follows the bucket
//! hears of the end.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;

/// A marker that goes by itself after `kept`, at least a second: to be published on the subject of the key.
///
/// It is a purge as clients of NATS know it (ADR-8), and nats-server lets it expire without a marker of its own. But it
/// lacks the header `Nats-Rollup` that they add: a bucket that keeps one message for each key needs nobody to tell it
/// that the older ones go. With that header, and for `$JS.API.STREAM.PURGE` of a subject as well, nats-server 2.15
/// forgets messages of other keys that a consumer of the whole bucket has not acked: it takes the place in the order of
/// delivery of what was purged for acked, and drops what comes before (`purge`, `moveAckFloor` and `checkPending` in
/// `server/consumer.go`; shown by `tests/contract/replaced.rs`). So buckets with a durable consumer are never purged.
#[must_use]
pub fn ended(kept: Duration) -> PublishMessage {
    PublishMessage::build().header("KV-Operation", "PURGE").ttl(kept)
}
