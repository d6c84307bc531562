//! Handing a message to JetStream and learning for certain what became of it.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishError},
    message::PublishMessage,
    publish::PublishAck,
};
use bytes::Bytes;
use natterjack_nats::{
    Conversation, subjects,
    trace::{self, TRACEPARENT},
    wire::{Code, WireError},
};
use natterjack_runtime::trace::{Span, SpanKind};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Lane, Prepared,
    first::Named,
    lane::Place,
    verdict::{self, Failure},
};
use crate::{app::App, connections::Link};

/// Between tries, if the last one was answered at once.
const PAUSE: Duration = Duration::from_millis(200);

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
    named: Named,
    started: Instant,
    /// It is not handed to NATS any more after that.
    deadline: Instant,
    place: Place,
    first_try: Option<Result<PublishAckFuture, PublishError>>,
    /// From here to its place in the stream, and what goes with it so that others go on from there.
    span: Span,
    trace: Option<String>,
    /// How often it was handed to NATS, or tried to be.
    tries: i64,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent")
            .field("msg_id", &self.msg_id)
            .finish_non_exhaustive()
    }
}

impl Sent {
    fn note(&self, ack: &PublishAck) {
        if self.trace.is_none() {
            return;
        }
        self.span.note("messaging.system", "nats");
        self.span.note("messaging.destination.name", ack.stream.clone());
        self.span
            .note("natterjack.seq", i64::try_from(ack.sequence).unwrap_or(i64::MAX));
    }
}

impl App {
    /// Hands a message to NATS, or lets it wait where an earlier one of its lane has to be tried
    /// again: messages handed over one after the other are stored in that order.
    ///
    /// # Errors
    /// `internal` if the message does not encode.
    pub async fn publish(&self, prepared: Prepared, lane: &Arc<Lane>) -> Result<Pending, WireError> {
        let (stored, since) = match prepared {
            Prepared::Known(seq) => return Ok(Pending(State::Known(seq))),
            Prepared::New { stored, since } => (stored, since),
        };
        let span = self.tracer.part_of_kind("publish", SpanKind::Producer);
        let mut sent = Box::new(Sent {
            trace: span.remote().as_ref().map(trace::format),
            span,
            payload: encode(&*stored)?,
            subject: subjects::chat::subject(self.shards, &stored.conversation),
            msg_id: stored.nats_msg_id(),
            named: Named::from(&*stored),
            started: Instant::now(),
            deadline: since + self.window.tries(),
            place: lane.enter(),
            first_try: None,
            tries: 0,
        });
        if let Some(link) = self.nats.publish.current()
            && sent.place.may_publish(link.generation)
        {
            sent.first_try = try_publish(&link, &sent).await;
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
        let outcome = self.tried(&mut sent).await;
        sent.span.note("natterjack.tries", sent.tries);
        // What was stored in the end has not failed, however often it was tried.
        if let Err(error) = &outcome {
            sent.span.failed(error.code.as_str());
        }
        outcome
    }

    /// As often as it takes, and there is time for.
    async fn tried(&self, sent: &mut Sent) -> Result<u64, WireError> {
        let deadline = sent.deadline;
        let mut unknown = false;
        loop {
            let one_try = match sent.first_try.take() {
                Some(first) => first,
                // Not again for who was removed meanwhile: a retry of theirs may have been refused.
                None if self.is_removed(sent) => return Err(verdict::exhausted(unknown)),
                None => {
                    let turn = timeout_at(deadline, sent.place.turn(&self.nats.publish)).await;
                    let Ok(link) = turn else {
                        return Err(verdict::exhausted(unknown));
                    };
                    let Some(next) = try_publish(&link, sent).await else {
                        return Err(verdict::exhausted(unknown));
                    };
                    next
                }
            };
            sent.tries += 1;
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
                    sent.note(&ack);
                    // Once it is sure that this is this message's place.
                    return if ack.duplicate {
                        self.first(&sent.named, ack.sequence).await?.told()
                    } else {
                        Ok(ack.sequence)
                    };
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
        match sent.named.conversation {
            Conversation::Group(group) => self.hub.is_member(sent.named.sender, group) == Some(false),
            Conversation::Dm(_) | Conversation::User(_) => false,
        }
    }
}

/// Hands it to the link; in its lane it counts as on its way from then on. `None` once its time is over:
/// who sent it may have been told by then that it is refused, and the stream remembers that only for so
/// long.
async fn try_publish(link: &Link, sent: &Sent) -> Option<Result<PublishAckFuture, PublishError>> {
    // Looked at first, since all of this process may have been held up.
    if Instant::now() >= sent.deadline {
        return None;
    }
    let mut message = PublishMessage::build()
        .message_id(&sent.msg_id)
        .payload(sent.payload.clone());
    if let Some(trace) = &sent.trace {
        message = message.header(TRACEPARENT, trace.as_str());
    }
    let handed = link.context.send_publish(sent.subject.clone(), message);
    let handed = timeout_at(sent.deadline, handed).await.ok()?;
    if handed.is_ok() {
        sent.place.published(link.generation);
    }
    Some(handed)
}

pub(super) fn encode(stored: &impl Serialize) -> Result<Bytes, WireError> {
    serde_json::to_vec(stored).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "a message does not encode");
        WireError::new(Code::Internal, "the message could not be stored; it was not")
    })
}
