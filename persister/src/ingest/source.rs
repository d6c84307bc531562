//! Batches from a durable consumer, by count, bytes or age, whatever is reached first.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Context, Message,
    consumer::{PullConsumer, pull},
};
use futures::{FutureExt as _, StreamExt as _};
use natterjack_nats::topology;
use natterjack_runtime::lifecycle::Shutdown;
use rand::RngExt as _;
use tokio::time::Instant;

/// How long the server may be silent on a pull before we ask again.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PULL: Duration = Duration::from_secs(30);
/// The largest message must fit, or the server would never send it.
const PULL_BYTES_MIN: usize = 4 * 1024 * 1024;
const REOPEN_MS_MAX: u64 = 1_000;

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// By count.
    pub messages: usize,
    /// By bytes; a batch holds at least one message.
    pub bytes: usize,
    /// By age.
    pub age: Duration,
}

/// The persister's consumer on one stream.
pub struct Source {
    context: Context,
    stream: String,
    limits: Limits,
    shutdown: Shutdown,
    messages: Option<pull::Stream>,
    failing: bool,
}

impl Source {
    /// It is opened when the first batch is asked for, and again whenever it breaks.
    pub const fn new(context: Context, stream: String, limits: Limits, shutdown: Shutdown) -> Self {
        Self {
            context,
            stream,
            limits,
            shutdown,
            messages: None,
            failing: false,
        }
    }

    /// The next batch, of at least one message; `None` once the drain was asked for.
    pub async fn next(&mut self) -> Option<Vec<Message>> {
        let shutdown = self.shutdown.clone();
        let first = tokio::select! {
            biased;
            () = shutdown.draining() => {
                self.give_back().await;
                return None;
            }
            first = self.first() => first,
        };
        let deadline = Instant::now() + self.limits.age;
        let mut bytes = first.payload.len();
        let mut batch = vec![first];
        while batch.len() < self.limits.messages
            && bytes < self.limits.bytes
            && let Some(messages) = &mut self.messages
        {
            match tokio::time::timeout_at(deadline, messages.next()).await {
                Ok(Some(Ok(message))) => {
                    bytes += message.payload.len();
                    batch.push(message);
                }
                // Whatever it is, the next call meets it again.
                Ok(Some(Err(_)) | None) => self.messages = None,
                Err(_) => break,
            }
        }
        Some(batch)
    }

    /// Hands what was sent ahead to the next persister, which would else wait for the ack wait.
    async fn give_back(&mut self) {
        if let Some(mut messages) = self.messages.take() {
            while let Some(Some(Ok(message))) = messages.next().now_or_never() {
                if message.ack_with(AckKind::Nak(None)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn first(&mut self) -> Message {
        loop {
            let error = match &mut self.messages {
                None => match self.open().await {
                    Ok(opened) => {
                        self.messages = Some(opened);
                        continue;
                    }
                    Err(error) => error,
                },
                Some(messages) => match messages.next().await {
                    Some(Ok(message)) => {
                        if std::mem::take(&mut self.failing) {
                            tracing::info!(ingest.stream = self.stream, "reading the stream again");
                        }
                        return message;
                    }
                    Some(Err(error)) => error.to_string(),
                    None => "the consumer's messages ended".to_owned(),
                },
            };
            self.messages = None;
            if !std::mem::replace(&mut self.failing, true) {
                tracing::warn!(
                    ingest.stream = self.stream,
                    error,
                    "the stream cannot be read; trying on"
                );
            }
            let pause = rand::rng().random_range(50..=REOPEN_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn open(&self) -> Result<pull::Stream, String> {
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(topology::PERSISTER, &self.stream)
            .await
            .map_err(|error| error.to_string())?;
        consumer
            .stream()
            .max_messages_per_batch(self.limits.messages)
            .max_bytes_per_batch(self.limits.bytes.max(PULL_BYTES_MIN))
            .expires(PULL)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| error.to_string())
    }
}
