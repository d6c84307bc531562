//! Batches from a durable consumer: all that is there at a time, at most so often, by count and
//! bytes.
//!
//! The consumer is asked for what there is (`no_wait`, with patience where there is nothing), and
//! then left alone for a while. A request that stands open all the time is sent each message by
//! itself, as it is stored: a wake-up of the consumer, a write to the socket and a wake-up here for
//! each.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Context, Message,
    consumer::{PullConsumer, pull},
};
use futures::{FutureExt as _, StreamExt as _};
use natterjack_nats::topology;
use natterjack_runtime::lifecycle::Shutdown;
use rand::RngExt as _;
use tokio::{sync::watch, time::Instant};

/// How long the server may wait for a first message before we ask again.
const PULL: Duration = Duration::from_secs(5);
/// The largest message must fit, or the server would never send it.
const PULL_BYTES_MIN: usize = 4 * 1024 * 1024;
/// From a pull that brought nothing to the next.
const EMPTY_REST: Duration = Duration::from_millis(100);
const REOPEN_MS_MAX: u64 = 1_000;

/// When a batch is full, and how long messages are gathered.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// By count.
    pub messages: usize,
    /// By bytes; a batch holds at least one message.
    pub bytes: usize,
    /// From one batch to the next, unless there is more than fits one.
    pub age: Duration,
}

/// The persister's consumer on one stream.
pub struct Source {
    context: Context,
    stream: String,
    limits: Limits,
    shutdown: Shutdown,
    /// Counts how often the connection broke: what was asked for before is not answered any more.
    broken: watch::Receiver<u64>,
    consumer: Option<PullConsumer>,
    /// What was asked for and has not been read to its end.
    pull: Option<Pull>,
    /// Before that nothing is asked for.
    rest_until: Instant,
    failing: bool,
}

struct Pull {
    messages: pull::Batch,
    read: usize,
}

impl Source {
    /// It is opened when the first batch is asked for, and again whenever it breaks.
    pub fn new(
        context: Context,
        stream: String,
        limits: Limits,
        shutdown: Shutdown,
        broken: watch::Receiver<u64>,
    ) -> Self {
        Self {
            context,
            stream,
            limits,
            shutdown,
            broken,
            consumer: None,
            pull: None,
            rest_until: Instant::now(),
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
        let mut bytes = first.payload.len();
        let mut batch = vec![first];
        // What else was asked for is on its way: the server sends it in one go, then says so.
        while batch.len() < self.limits.messages
            && bytes < self.limits.bytes
            && let Ok(Some(message)) = self.read().await
        {
            bytes += message.payload.len();
            batch.push(message);
        }
        Some(batch)
    }

    /// Hands what was sent ahead to the next persister, which would else wait for the ack wait.
    async fn give_back(&mut self) {
        if let Some(mut pull) = self.pull.take() {
            while let Some(Some(Ok(message))) = pull.messages.next().now_or_never() {
                if message.ack_with(AckKind::Nak(None)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn first(&mut self) -> Message {
        loop {
            let read = if self.pull.is_some() {
                self.read().await
            } else {
                self.ask().await.map(|()| None)
            };
            let error = match read {
                Ok(Some(message)) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(ingest.stream = self.stream, "reading the stream again");
                    }
                    return message;
                }
                Ok(None) => continue,
                Err(error) => error,
            };
            self.consumer = None;
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

    /// The next message of what was asked for; `None` at its end, after which there is no pull.
    async fn read(&mut self) -> Result<Option<Message>, String> {
        let Some(pull) = &mut self.pull else {
            return Ok(None);
        };
        let next = tokio::select! {
            biased;
            next = pull.messages.next() => next,
            // It fails only where the connection is given up together with the process.
            Ok(()) = self.broken.changed() => None,
        };
        match next {
            Some(Ok(message)) => {
                if pull.read == 0 {
                    self.rest_until = Instant::now() + self.limits.age;
                }
                pull.read += 1;
                Ok(Some(message))
            }
            ended => {
                let read = self.pull.take().map_or(0, |pull| pull.read);
                match ended {
                    Some(Err(error)) if read == 0 => return Err(error.to_string()),
                    // The bytes that were asked for are there, and more waits.
                    Some(Err(_)) => self.rest_until = Instant::now(),
                    _ if read >= self.limits.messages => self.rest_until = Instant::now(),
                    // Of several persisters that ask at once, some may be sent away at once.
                    _ if read == 0 => self.rest_until = Instant::now() + EMPTY_REST,
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    /// Asks for what is there, when it is time to.
    async fn ask(&mut self) -> Result<(), String> {
        tokio::time::sleep_until(self.rest_until).await;
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            none => none.insert(
                self.context
                    .get_consumer_from_stream(topology::PERSISTER, &self.stream)
                    .await
                    .map_err(|error| error.to_string())?,
            ),
        };
        self.broken.mark_unchanged();
        let messages = consumer
            .fetch()
            .max_messages(self.limits.messages)
            .max_bytes(self.limits.bytes.max(PULL_BYTES_MIN))
            .expires(PULL)
            .messages()
            .await
            .map_err(|error| error.to_string())?;
        self.pull = Some(Pull { messages, read: 0 });
        Ok(())
    }
}
