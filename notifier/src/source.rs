//! Messages from a durable consumer that all notifiers share: each goes to one of them, and to another if
//! that one dies before it is done with it.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Context, Message,
    consumer::{Info, PullConsumer, pull},
};
use futures::{FutureExt as _, StreamExt as _};
use natterjack_nats::topology::NOTIFIER;
use natterjack_runtime::{health::Health, lifecycle::Shutdown};
use natterjack_service::lag::Lag;
use rand::RngExt as _;
use tokio::sync::{mpsc, watch};

/// Most messages that are asked for at once.
pub const FETCH_MAX: usize = 256;
/// How long the server keeps a request for messages while there are none.
const PULL: Duration = Duration::from_secs(5);
/// Longest pause before the consumer is opened again.
const REOPEN_MS_MAX: u64 = 500;
/// How long a question may go on after the drain began.
const DRAIN: Duration = Duration::from_secs(1);
/// After what time another process has what was handed back.
const HANDED_BACK: Duration = Duration::from_millis(500);
/// How often the lag is looked at.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// The pause after a first failure, and the longest, in milliseconds.
const AGAIN_MS: u64 = 500;
const AGAIN_MS_MAX: u64 = 15_000;

/// A message that is not settled yet.
#[derive(Debug)]
pub struct Delivered {
    /// With subject and payload.
    pub message: Message,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When it was stored, by the server's clock, Unix milliseconds.
    pub stored_ms: u64,
    /// How often it was delivered; the first is 1.
    pub times: u64,
}

impl Delivered {
    /// `None` for what no consumer sent.
    fn new(message: Message) -> Option<Self> {
        let info = message.info().ok()?;
        let (seq, times) = (info.stream_sequence, info.delivered);
        let stored_ms = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        Some(Self {
            message,
            seq,
            stored_ms,
            times: u64::try_from(times).unwrap_or(1),
        })
    }

    /// It is done with.
    pub async fn done(&self) {
        self.answer(AckKind::Ack).await;
    }

    /// It comes again after a while, to any process.
    pub async fn later(&self, after: Duration) {
        self.answer(AckKind::Nak(Some(after))).await;
    }

    /// It could not be handled, and comes again after a pause that grows from time to time.
    pub async fn failed(&self) {
        let doublings = u32::try_from(self.times.saturating_sub(1))
            .unwrap_or(u32::MAX)
            .min(8);
        let most_ms = (AGAIN_MS << doublings).min(AGAIN_MS_MAX);
        let pause_ms = rand::rng().random_range(most_ms / 2..=most_ms);
        self.later(Duration::from_millis(pause_ms)).await;
    }

    /// Another process has it soon. Not at once: the server may not have heard yet that this one wants nothing
    /// more, and would answer its last request with it.
    pub async fn hand_back(&self) {
        self.later(HANDED_BACK).await;
    }

    async fn answer(&self, kind: AckKind) {
        if let Err(error) = self.message.ack_with(kind).await {
            // It comes again by itself.
            tracing::debug!(%error, "a message could not be answered");
        }
    }
}

/// A consumer to read from.
pub struct Source {
    pub context: Context,
    /// Of which stream.
    pub stream: String,
    pub shutdown: Shutdown,
    /// Counts how often the connection broke: what was asked for before is not answered any more.
    pub broken: watch::Receiver<u64>,
    pub health: Health,
    pub lag: Lag,
}

impl Source {
    /// Fetches until the drain, and hands on what comes. `looked` is called now and then with what the server
    /// says of the consumer, the first time before anything is fetched.
    pub async fn run<F>(mut self, messages: mpsc::Sender<Delivered>, looked: impl Fn(Info) -> F)
    where
        F: Future<Output = ()>,
    {
        let shutdown = self.shutdown.clone();
        let mut failing = false;
        while !shutdown.is_draining() {
            let read = tokio::select! {
                read = self.read(&messages, &looked, &mut failing) => read,
                // It ends by itself, and hands back what is on its way, unless it is in the middle of a question.
                () = async { shutdown.draining().await; tokio::time::sleep(DRAIN).await } => return,
            };
            let Err(error) = read else { return };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(
                    push.stream = self.stream,
                    error,
                    "messages cannot be read; trying on"
                );
            }
            self.health.set(self.check(), Err(error));
            let pause = rand::rng().random_range(50..=REOPEN_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Reads until something fails, or nobody wants messages any more.
    async fn read<F>(
        &mut self,
        messages: &mpsc::Sender<Delivered>,
        looked: &impl Fn(Info) -> F,
        failing: &mut bool,
    ) -> Result<(), String>
    where
        F: Future<Output = ()>,
    {
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(NOTIFIER, &self.stream)
            .await
            .map_err(|error| error.to_string())?;
        self.health.set(self.check(), Ok(()));
        if std::mem::take(failing) {
            tracing::info!(push.stream = self.stream, "reading messages again");
        }
        let mut lag = tokio::time::interval(LAG_EVERY);
        loop {
            if lag.tick().now_or_never().is_some() {
                let info = consumer.get_info().await.map_err(|error| error.to_string())?;
                self.lag.saw(&info);
                looked(info).await;
            }
            self.broken.mark_unchanged();
            let fetch = consumer.fetch().max_messages(FETCH_MAX).expires(PULL).messages();
            let mut pull = fetch.await.map_err(|error| error.to_string())?;
            if !self.hand_on(&mut pull, messages).await? {
                return Ok(());
            }
        }
    }

    /// `false` once nobody wants messages any more.
    async fn hand_on(
        &mut self,
        pull: &mut pull::Batch,
        messages: &mpsc::Sender<Delivered>,
    ) -> Result<bool, String> {
        let shutdown = self.shutdown.clone();
        loop {
            let next = tokio::select! {
                biased;
                () = shutdown.draining() => {
                    hand_back_all(pull).await;
                    return Ok(false);
                }
                next = pull.next() => next,
                Ok(()) = self.broken.changed() => return Err("the connection broke".into()),
            };
            let message = match next {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(error.to_string()),
                None => return Ok(true),
            };
            let Some(delivered) = Delivered::new(message) else {
                tracing::error!(
                    push.stream = self.stream,
                    "a message came without its place; ignoring it"
                );
                continue;
            };
            let permit = tokio::select! {
                biased;
                () = shutdown.draining() => None,
                permit = messages.reserve() => permit.ok(),
            };
            let Some(permit) = permit else {
                delivered.hand_back().await;
                hand_back_all(pull).await;
                return Ok(false);
            };
            permit.send(delivered);
        }
    }

    fn check(&self) -> String {
        format!("consumer of {}", self.stream)
    }
}

/// What has come already and nobody took: it would come again only after the consumer's ack wait.
async fn hand_back_all(pull: &mut pull::Batch) {
    while let Some(Some(Ok(message))) = pull.next().now_or_never() {
        if let Some(delivered) = Delivered::new(message) {
            delivered.hand_back().await;
        }
    }
}
