//! What a consumer is told of what it delivered.

use async_nats::jetstream::{self, AckKind};

use super::{job::NoJob, store::StoreError};
use crate::trace::TraceError;

/// Why a push could not be settled: it comes again.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// Something was not read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not told.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// It may come again.
    #[error("NATS did not confirm an ack: {0}")]
    Ack(String),
}

/// Ends what is no job.
pub async fn no_job(message: &jetstream::Message, why: &NoJob) {
    if *why == NoJob::Unknown {
        tracing::error!(subject = %message.subject, "an entry in the bucket pushes is none; ignoring it");
    }
    answer(message, AckKind::Ack).await;
}

/// Acks, and waits until NATS says so: it does not come again.
pub async fn confirm(message: &jetstream::Message) -> Result<(), Unsettled> {
    let confirmed = message.double_ack().await;
    confirmed.map_err(|error| Unsettled::Ack(error.to_string()))
}

/// Tells the consumer what became of a message, without waiting.
pub async fn answer(message: &jetstream::Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        // It comes again by itself.
        tracing::debug!(%error, "a push could not be answered");
    }
}
