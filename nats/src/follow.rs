//! Following the keys of a bucket with a consumer that has a name.
//!
//! The watch of async-nats asks for a consumer without one (`jetstream/kv/mod.rs`,
//! `watch_with_deliver_policy`). Such a request names the consumer in its payload at most, where no permission
//! looks: whoever may send it may also change the durable consumers of the stream.

use async_nats::{
    HeaderMap, HeaderValue, header,
    jetstream::{
        self,
        consumer::{DeliverPolicy, ReplayPolicy, StreamError, push},
        kv,
        stream::ConsumerError,
    },
};
use futures::StreamExt as _;
use uuid::Uuid;

use crate::{subjects, topology::Bucket};

/// Every key of a bucket.
pub const ALL_KEYS: &str = ">";

/// Why a bucket cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is no such bucket, or JetStream does not answer, or refuses.
    #[error("no consumer: {0}")]
    Consumer(#[from] ConsumerError),
    /// What is delivered cannot be subscribed to.
    #[error("no messages: {0}")]
    Messages(#[from] StreamError),
    /// The consumer is gone, and does not come back.
    #[error("it broke: {0}")]
    Broken(#[from] push::OrderedError),
    /// A message that no consumer delivers.
    #[error("what was delivered does not say where it stands: {0}")]
    Place(async_nats::Error),
}

/// Keys of a bucket that are followed: what stands there, then what changes, in order.
pub struct Watch {
    messages: push::Ordered,
    bucket: Bucket,
    seen_current: bool,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// Follows a key, or the keys that a pattern such as [`ALL_KEYS`] matches, from what stands there now.
///
/// # Errors
/// [`FollowError::Consumer`] or [`FollowError::Messages`] if there is no such bucket, or JetStream does not
/// answer, or refuses.
pub async fn watch(context: &jetstream::Context, bucket: Bucket, keys: &str) -> Result<Watch, FollowError> {
    let config = push::OrderedConfig {
        deliver_subject: context.client().new_inbox(),
        name: Some(format!("watch-{}", Uuid::new_v4().simple())),
        filter_subject: subjects::kv::subject(bucket, keys),
        replay_policy: ReplayPolicy::Instant,
        deliver_policy: DeliverPolicy::LastPerSubject,
        ..push::OrderedConfig::default()
    };
    let consumer = context
        .create_consumer_on_stream(config, bucket.stream_name())
        .await?;
    let seen_current = consumer.cached_info().num_pending == 0;
    Ok(Watch {
        messages: consumer.messages().await?,
        bucket,
        seen_current,
    })
}

impl Watch {
    /// Whether all that stood there at the beginning was given: at once where there was nothing.
    #[must_use]
    pub fn seen_current(&self) -> bool {
        self.seen_current
    }

    /// The next entry; `None` if there will be none. Who drops this before it answers misses nothing.
    ///
    /// # Errors
    /// [`FollowError::Broken`] if the consumer is gone; [`FollowError::Place`] for what no consumer delivers.
    pub async fn next(&mut self) -> Option<Result<kv::Entry, FollowError>> {
        let message = match self.messages.next().await? {
            Ok(message) => message,
            Err(error) => return Some(Err(error.into())),
        };
        Some(self.entry(&message))
    }

    fn entry(&mut self, message: &jetstream::Message) -> Result<kv::Entry, FollowError> {
        let info = message.info().map_err(FollowError::Place)?;
        self.seen_current |= info.pending == 0;
        let key = subjects::kv::key(self.bucket, &message.subject);
        Ok(kv::Entry {
            bucket: self.bucket.name().to_owned(),
            key: key.unwrap_or_default().to_owned(),
            value: message.payload.clone(),
            revision: info.stream_sequence,
            delta: info.pending,
            created: info.published,
            operation: operation(message.headers.as_ref()),
            seen_current: self.seen_current,
        })
    }
}

/// What was done to a key: clients say so in one header, servers that let something expire in another one.
fn operation(headers: Option<&HeaderMap>) -> kv::Operation {
    let told = |name: &str| headers.and_then(|headers| headers.get(name).map(HeaderValue::as_str));
    match (told("KV-Operation"), told(header::NATS_MARKER_REASON.as_ref())) {
        (Some("DEL"), _) | (None, Some("Remove")) => kv::Operation::Delete,
        (Some("PURGE"), _) | (None, Some("MaxAge" | "Purge")) => kv::Operation::Purge,
        _ => kv::Operation::Put,
    }
}
