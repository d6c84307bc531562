//! The last word on a refusal is the stream's.
//!
//! An earlier try of a message may still be on its way, in another edge or on another edge's connection
//! to NATS, when the message is refused for a reason that is younger than it; and nothing that is asked
//! can see what has not arrived. So the refusal itself is stored first, under the message's id: if
//! it comes before the message, the stream takes every later try for a copy of it, and if it comes
//! after, the stream names the message.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use natterjack_nats::{
    subjects::chat,
    wire::{Stored, Void, WireError},
};
use tokio::time::timeout;

use super::{
    Prepared,
    first::{First, Named},
    publish::encode,
    verdict::{self, Failure},
};
use crate::{app::App, metrics::Count};

/// How long the stream may take to decide before the client is told to try again.
const PATIENCE: Duration = Duration::from_secs(5);

impl App {
    /// Refuses a message that was not found, if no earlier try of it is stored by then.
    ///
    /// It costs the stream less than any message does, and the sender as much of the rate limit: who may
    /// send nothing there fills it no faster than by sending where they may.
    ///
    /// # Errors
    /// The refusal; `conflict`; something retryable while the stream does not decide.
    pub(super) async fn refuse(&self, refusal: WireError, stored: &Stored) -> Result<Prepared, WireError> {
        if !verdict::may_be_new(&refusal, &stored.conversation) {
            return Err(refusal);
        }
        let Some(link) = self.nats.publish.current() else {
            self.metrics.voids.count("failed");
            return Err(verdict::exhausted(false));
        };
        let void = Void::of(stored, self.clock.now_ms(), refusal.clone());
        let message = PublishMessage::build()
            .message_id(stored.nats_msg_id())
            .payload(encode(&void)?);
        let subject = chat::void(self.shards.of(&stored.conversation));
        let decided = timeout(PATIENCE, async {
            link.context.send_publish(subject, message).await?.await
        });
        let (what, outcome) = match decided.await {
            Ok(Ok(ack)) if ack.duplicate => match self.first(&Named::from(stored), ack.sequence).await {
                Ok(First::Void(_)) => ("void", Err(refusal)),
                Ok(first) => ("message", first.told()),
                Err(error) => ("failed", Err(error)),
            },
            Ok(Ok(_)) => ("stored", Err(refusal)),
            Ok(Err(error)) => ("failed", Err(undecided(verdict::failure(&error)))),
            Err(_) => ("failed", Err(verdict::exhausted(true))),
        };
        self.metrics.voids.count(what);
        outcome.map(Prepared::Known)
    }
}

/// What a client is told whose refusal was not stored: never that refusal.
fn undecided(failure: Failure) -> WireError {
    match failure {
        Failure::NotYet => verdict::exhausted(false),
        Failure::Refused(error) if error.retryable => error,
        Failure::Refused(_) | Failure::Unknown => verdict::exhausted(true),
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::wire::Code;

    use super::*;

    #[test]
    fn what_was_not_decided_is_tried_again() {
        let refused = |code| Failure::Refused(WireError::new(code, ""));
        for failure in [
            Failure::NotYet,
            Failure::Unknown,
            refused(Code::Overloaded),
            refused(Code::TooLarge),
        ] {
            assert!(undecided(failure).retryable);
        }
    }
}
