//! Handing a message to JetStream and learning for certain what became of it.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishError},
    message::PublishMessage,
    publish::PublishAck,
};
use bytes::Bytes;
use natterjack_nats::{
    Conversation, MessageId, UserId, direct,
    services::{self, history::LookUp},
    subjects,
    topology::chat_stream,
    wire::{Code, Fingerprint, Stored, WireError},
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Lane, Prepared,
    lane::Place,
    verdict::{self, Failure},
};
use crate::{
    app::{App, SERVICE_TIMEOUT},
    connections::Link,
};

/// Between tries, if the last one was answered at once.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a message that was there before is looked for in the stream.
const READS: u32 = 3;

/// A message on its way to the disk, or one that is there.
#[derive(Debug)]
pub struct Pending(State);

#[derive(Debug)]
enum State {
    Known(u64),
    Sent(Box<Sent>),
}

struct Sent {
    subject: String,
    payload: Bytes,
    msg_id: String,
    conversation: Conversation,
    sender: UserId,
    id: MessageId,
    fingerprint: Fingerprint,
    started: Instant,
    place: Place,
    first_try: Option<Result<PublishAckFuture, PublishError>>,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent")
            .field("msg_id", &self.msg_id)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Hands a message to NATS, or lets it wait where an earlier one of its lane has to be tried
    /// again: messages handed over one after the other are stored in that order.
    ///
    /// # Errors
    /// `internal` if the message does not encode.
    pub async fn publish(&self, prepared: Prepared, lane: &Arc<Lane>) -> Result<Pending, WireError> {
        let stored = match prepared {
            Prepared::Known(seq) => return Ok(Pending(State::Known(seq))),
            Prepared::New(stored) => stored,
        };
        let mut sent = Box::new(Sent {
            payload: encode(&stored)?,
            subject: subjects::chat::subject(self.shards, &stored.conversation),
            msg_id: stored.nats_msg_id(),
            conversation: stored.conversation,
            sender: stored.sender,
            id: stored.id,
            fingerprint: stored.fingerprint(),
            started: Instant::now(),
            place: lane.enter(),
            first_try: None,
        });
        if let Some(link) = self.nats.publish.current()
            && sent.place.may_publish(link.generation)
        {
            sent.first_try = Some(try_publish(&link, &sent).await);
        }
        Ok(Pending(State::Sent(sent)))
    }

    /// Waits until the message is on disk; then its sequence.
    ///
    /// A try without an answer is repeated under the same `Nats-Msg-Id`, so that it is stored once
    /// however many of them arrive.
    ///
    /// # Errors
    /// `conflict`, `overloaded`, `unavailable`: it was not stored. `timeout`: not known.
    pub async fn outcome(&self, pending: Pending) -> Result<u64, WireError> {
        let mut sent = match pending.0 {
            State::Known(seq) => return Ok(seq),
            State::Sent(sent) => sent,
        };
        let deadline = sent.started + self.window.tries();
        let mut unknown = false;
        loop {
            let one_try = match sent.first_try.take() {
                Some(first) => first,
                // Not again for who was removed meanwhile: a retry of theirs may have been refused.
                None if self.is_removed(&sent) => return Err(verdict::exhausted(unknown)),
                None => {
                    let turn = timeout_at(deadline, sent.place.turn(&self.nats.publish)).await;
                    let Ok(link) = turn else {
                        return Err(verdict::exhausted(unknown));
                    };
                    try_publish(&link, &sent).await
                }
            };
            let answer = match one_try {
                Ok(ack) => timeout_at(deadline, ack).await,
                Err(error) => Ok(Err(error)),
            };
            let failure = match answer {
                Ok(Ok(ack)) => {
                    self.metrics
                        .ack_seconds
                        .observe(sent.started.elapsed().as_secs_f64());
                    sent.place.done();
                    return self.settle(&ack, &sent).await;
                }
                Ok(Err(error)) => verdict::failure(&error),
                Err(_deadline) => Failure::Unknown,
            };
            sent.place.failed();
            match failure {
                Failure::Refused(_) if unknown => return Err(verdict::exhausted(true)),
                Failure::Refused(error) => return Err(error),
                Failure::Unknown => unknown = true,
                Failure::NotYet => {}
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(verdict::exhausted(unknown));
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether this edge knows that the sender has left the group.
    fn is_removed(&self, sent: &Sent) -> bool {
        match sent.conversation {
            Conversation::Group(group) => self.hub.is_member(sent.sender, group) == Some(false),
            Conversation::Dm(_) | Conversation::User(_) => false,
        }
    }

    /// The sequence that an ack names, once it is sure that it is this message's.
    async fn settle(&self, ack: &PublishAck, sent: &Sent) -> Result<u64, WireError> {
        if !ack.duplicate {
            return Ok(ack.sequence);
        }
        // The stream compares ids only: what it has under this one may say something else.
        let stream = chat_stream(self.shards.of(&sent.conversation));
        for _ in 0..READS {
            let first = direct::get(&self.nats.service, &stream, ack.sequence, SERVICE_TIMEOUT).await;
            if let Ok(Some(first)) = first
                && let Ok(first) = serde_json::from_slice::<Stored>(&first.payload)
            {
                let same = first.conversation == sent.conversation && first.fingerprint() == sent.fingerprint;
                return verdict::same(same, ack.sequence);
            }
            // A replica that lags behind the one that acked has it in a moment.
            sleep(PAUSE).await;
        }
        // Trimmed already.
        let look_up = LookUp {
            conversation: sent.conversation,
            sender: sent.sender,
            id: sent.id,
        };
        // Any other error would say that nothing was stored.
        let found = services::call(&self.nats.service, &look_up, SERVICE_TIMEOUT).await;
        match found.map_err(|_| verdict::exhausted(true))? {
            Some(found) => verdict::same(found.fingerprint == sent.fingerprint, found.seq),
            // It may be this very message, where only we cannot see it: not a conflict before that
            // is known.
            None => Err(verdict::exhausted(true)),
        }
    }
}

/// Hands it to the link; in its lane it counts as on its way from then on.
async fn try_publish(link: &Link, sent: &Sent) -> Result<PublishAckFuture, PublishError> {
    let message = PublishMessage::build()
        .message_id(&sent.msg_id)
        .payload(sent.payload.clone());
    let ack = link.context.send_publish(sent.subject.clone(), message).await?;
    sent.place.published(link.generation);
    Ok(ack)
}

fn encode(stored: &Stored) -> Result<Bytes, WireError> {
    serde_json::to_vec(stored).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "a message does not encode");
        WireError::new(Code::Internal, "the message could not be stored; it was not")
    })
}
