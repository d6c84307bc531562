//! Brings a batch to its end: written and acked, or kept as dead letters and acked, or, when the
//! process drains while Postgres is away, left for whoever comes next.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use async_nats::jetstream::{AckKind, Message};
use natterjack_nats::trace;
use natterjack_runtime::{
    clock::Clock,
    health::Health,
    lifecycle::Shutdown,
    trace::{Span, SpanKind, Tracer},
};
use rand::RngExt as _;

use super::{
    Sink,
    dead_letters::{self, Letter},
    metrics::IngestMetrics,
};
use crate::db::{Db, DbError, TxError};

/// A third of the consumer's ack wait: what we hold is not sent to others meanwhile.
const PROGRESS: Duration = Duration::from_secs(10);
const PAUSE_MS_MAX: u64 = 1_000;
/// One write; several statements of at most 20 s each.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// What settling needs besides the sink.
pub struct Settle {
    pub stream: String,
    pub db: Db,
    pub clock: Clock,
    pub health: Health,
    pub metrics: IngestMetrics,
    pub shutdown: Shutdown,
    pub tracer: Tracer,
}

/// The drain came first.
struct Drained;

impl Settle {
    /// Settles a batch.
    pub async fn batch<S: Sink>(&self, sink: &S, batch: Vec<Message>) {
        let started = Instant::now();
        let count = batch.len();
        let (mut messages, mut items, mut letters) = (Vec::new(), Vec::new(), Vec::new());
        let mut skipped = Vec::new();
        for message in batch {
            // A message without a readable ack subject was not sent by the consumer.
            let Ok(seq) = message.info().map(|info| info.stream_sequence) else {
                tracing::error!(
                    ingest.stream = self.stream,
                    "a message came without its place; ignoring it"
                );
                continue;
            };
            match sink.decode(&message.subject, seq, &message.payload) {
                Ok(Some(item)) => {
                    items.push(item);
                    messages.push((seq, message));
                }
                Ok(None) => skipped.push((seq, message)),
                Err(poison) => letters.push((seq, message, poison.to_string())),
            }
        }
        self.ack(&skipped).await;
        for (seq, message, error) in &letters {
            if self.bury(*seq, message, error).await.is_err() {
                return;
            }
        }
        let spans = self.spans(&messages);
        // One write serves them all: it is told as a part of the first that is traced, and the others point
        // to it.
        let first = spans.first().cloned().unwrap_or_default();
        if first.run(self.write(sink, &messages, &items)).await.is_ok() {
            self.metrics.batch(count, started.elapsed());
        } else {
            spans.iter().for_each(|span| span.failed("drained"));
        }
    }

    /// A span for each message that is traced.
    fn spans(&self, messages: &[(u64, Message)]) -> Vec<Span> {
        if !self.tracer.is_on() {
            return Vec::new();
        }
        let mut spans = Vec::<Span>::new();
        for (seq, message) in messages {
            let parent = trace::of(message.headers.as_ref());
            if parent.is_none() {
                continue;
            }
            let span = self.tracer.follow(parent, "persist", SpanKind::Consumer);
            span.note("messaging.system", "nats");
            span.note("messaging.destination.name", self.stream.clone());
            span.note("natterjack.seq", i64::try_from(*seq).unwrap_or(i64::MAX));
            span.note(
                "messaging.batch.message_count",
                i64::try_from(messages.len()).unwrap_or(i64::MAX),
            );
            span.link(spans.first().and_then(Span::remote));
            spans.push(span);
        }
        spans
    }

    /// Writes and acks; what Postgres refuses is halved until the refused row stands alone.
    async fn write<S: Sink>(
        &self,
        sink: &S,
        messages: &[(u64, Message)],
        items: &[S::Item],
    ) -> Result<(), Drained> {
        let mut open: Vec<_> = std::iter::once(0..items.len()).collect();
        while let Some(range) = open.pop() {
            if range.is_empty() {
                continue;
            }
            let part = &messages[range.clone()];
            match self.persist(part, || sink.write(&items[range.clone()])).await? {
                Ok(()) => self.ack(part).await,
                Err(refused) => {
                    if let [(seq, message)] = part {
                        self.bury(*seq, message, &refused.to_string()).await?;
                    } else {
                        let middle = range.start + range.len() / 2;
                        open.push(middle..range.end);
                        open.push(range.start..middle);
                    }
                }
            }
        }
        Ok(())
    }

    async fn bury(&self, seq: u64, message: &Message, error: &str) -> Result<(), Drained> {
        let letter = Letter {
            stream: &self.stream,
            seq,
            subject: &message.subject,
            payload: &message.payload,
            error,
            at: self.clock.now_ms(),
        };
        // Never the payload: it is somebody's words.
        tracing::error!(
            ingest.stream = self.stream, ingest.seq = seq, subject = %message.subject, error,
            "a message cannot be written; it is kept in dead_letters"
        );
        let held = [(seq, message.clone())];
        match self
            .persist(&held, || dead_letters::keep(&self.db, &letter))
            .await?
        {
            Ok(()) => {
                self.metrics.dead_letter(&self.stream);
                self.ack(&held).await;
            }
            Err(refused) => {
                // Not acked: it comes again, and is reported again, until somebody looks.
                tracing::error!(ingest.stream = self.stream, ingest.seq = seq, error = %refused, "not even a dead letter");
            }
        }
        Ok(())
    }

    /// Tries until it is written or the data itself is refused. Meanwhile the consumer is told
    /// that we are at it.
    async fn persist<F, E>(
        &self,
        held: &[(u64, Message)],
        write: impl Fn() -> F,
    ) -> Result<Result<(), E>, Drained>
    where
        F: Future<Output = Result<(), E>>,
        E: TxError + Display,
    {
        let (mut failing, mut pause_ms, mut told) = (false, 25, Instant::now());
        loop {
            let error = match tokio::time::timeout(WRITE_TIMEOUT, write()).await {
                Ok(Ok(())) => {
                    if failing {
                        self.health.set(self.check(), Ok(()));
                        tracing::info!(ingest.stream = self.stream, "writing again");
                    }
                    return Ok(Ok(()));
                }
                Ok(Err(error)) if matches!(error.db(), Some(DbError::Data(_))) => return Ok(Err(error)),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(ingest.stream = self.stream, error, "cannot write; trying on");
                self.health.set(self.check(), Err(error));
            }
            if self.shutdown.is_draining() {
                return Err(Drained);
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                self.progress(held).await;
            }
            let jittered = rand::rng().random_range(pause_ms / 2..=pause_ms);
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(jittered)) => {}
                () = self.shutdown.draining() => {}
            }
        }
    }

    fn check(&self) -> String {
        format!("ingest {}", self.stream)
    }

    async fn ack(&self, held: &[(u64, Message)]) {
        for (_, message) in held {
            if let Err(error) = message.ack().await {
                // It comes again, and is found to be there already.
                tracing::debug!(ingest.stream = self.stream, %error, "an ack was not sent");
                return;
            }
        }
    }

    async fn progress(&self, held: &[(u64, Message)]) {
        for (_, message) in held {
            if message.ack_with(AckKind::Progress).await.is_err() {
                return;
            }
        }
    }
}
