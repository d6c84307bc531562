//! Events from a durable consumer that all presence processes share: each goes to one of them, and to
//! another if that one dies before it is done with it.

mod edges;
mod sessions;
mod source;

pub use edges::follow as follow_edges;
pub use sessions::follow as follow_sessions;
pub use source::Source;

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};

use crate::store;

/// After which pause an event comes again whose look failed.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// An event that is not settled yet.
pub struct Event {
    message: Message,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When it was stored, by the server's clock, Unix milliseconds.
    pub stored_ms: u64,
}

impl Event {
    /// `None` for what no consumer sent.
    fn new(message: Message) -> Option<Self> {
        let info = message.info().ok()?;
        let seq = info.stream_sequence;
        let stored_ms = store::unix_ms(info.published.unix_timestamp_nanos());
        Some(Self {
            message,
            seq,
            stored_ms,
        })
    }

    /// It is done with.
    async fn done(&self) {
        self.answer(AckKind::Ack).await;
    }

    /// It comes again after a while, to any process.
    async fn later(&self, after: Duration) {
        self.answer(AckKind::Nak(Some(after))).await;
    }

    /// It is still worked at, and does not come again meanwhile.
    async fn progress(&self) {
        self.answer(AckKind::Progress).await;
    }

    async fn answer(&self, kind: AckKind) {
        if let Err(error) = self.message.ack_with(kind).await {
            // It comes again by itself.
            tracing::debug!(%error, "an event could not be answered");
        }
    }
}
