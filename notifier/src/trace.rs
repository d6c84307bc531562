//! Tells operators why a message was pushed or not, and what became of it: entries in the stream
//! `PUSH_TRACE`.

use async_nats::{Client, jetstream::Context};
use natterjack_nats::{Conversation, subjects::push, wire::PushTrace};

/// Entries that wait for their ack at once: below the most that async-nats lets wait.
const IN_FLIGHT_MAX: usize = 1_000;

/// Why an entry was not written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("an entry of the stream PUSH_TRACE was not written: {0}")]
pub struct TraceError(String);

/// Writes entries; cheap to clone.
#[derive(Debug, Clone)]
pub struct Trace {
    context: Context,
}

impl Trace {
    /// Through this connection.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            context: async_nats::jetstream::new(client),
        }
    }

    /// Writes an entry of a conversation, and returns once it is stored.
    ///
    /// # Errors
    /// NATS did not take it, or did not say so in time.
    pub async fn write(&self, conversation: &Conversation, entry: &PushTrace) -> Result<(), TraceError> {
        self.write_all(&[(*conversation, entry.clone())]).await
    }

    /// Writes entries in their order, and returns once all are stored.
    ///
    /// # Errors
    /// NATS did not take one of them, or did not say so in time.
    pub async fn write_all(&self, entries: &[(Conversation, PushTrace)]) -> Result<(), TraceError> {
        let failed = |error: &dyn std::fmt::Display| TraceError(error.to_string());
        for part in entries.chunks(IN_FLIGHT_MAX) {
            let mut acks = Vec::with_capacity(part.len());
            for (conversation, entry) in part {
                let payload = serde_json::to_vec(entry).map_err(|error| failed(&error))?;
                let ack = self.context.publish(push::trace(conversation), payload.into());
                acks.push(ack.await.map_err(|error| failed(&error))?);
            }
            for ack in acks {
                ack.await.map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }
}
