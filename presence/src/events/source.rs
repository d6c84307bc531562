//! Fetches events from a durable consumer.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Context,
    consumer::{Info, PullConsumer, pull},
};
use futures::{FutureExt as _, StreamExt as _};
use natterjack_nats::topology::{self, Bucket};
use natterjack_runtime::{health::Health, lifecycle::Shutdown};
use rand::RngExt as _;
use tokio::sync::{mpsc, watch};

use super::Event;
use crate::metrics::PresenceMetrics;

/// Most events that are asked for at once.
const FETCH_MAX: usize = 256;
/// How long the server keeps a request for events while there are none.
const PULL: Duration = Duration::from_secs(5);
/// Longest pause before the consumer is opened again.
const REOPEN_MS_MAX: u64 = 500;
/// How often the lag is looked at.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// A consumer to read from.
pub struct Source {
    pub context: Context,
    pub bucket: Bucket,
    pub shutdown: Shutdown,
    /// Counts how often the connection broke: what was asked for before is not answered any more.
    pub broken: watch::Receiver<u64>,
    pub health: Health,
    pub metrics: PresenceMetrics,
}

impl Source {
    /// Fetches until the drain, and hands on what comes. `opened` is called with each consumer that was
    /// opened, before anything is fetched from it.
    pub async fn run<F>(mut self, events: mpsc::Sender<Event>, opened: impl Fn(Info) -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        let shutdown = self.shutdown.clone();
        let mut failing = false;
        while !shutdown.is_draining() {
            let read = tokio::select! {
                read = self.read(&events, &opened, &mut failing) => read,
                () = shutdown.draining() => return,
            };
            let Err(error) = read else { return };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(
                    presence.bucket = self.bucket.name(),
                    error,
                    "events cannot be read; trying on"
                );
            }
            self.health.set(self.check(), Err(error));
            let pause = rand::rng().random_range(50..=REOPEN_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Reads until something fails, or nobody wants events any more.
    async fn read<F>(
        &mut self,
        events: &mpsc::Sender<Event>,
        opened: impl Fn(Info) -> F,
        failing: &mut bool,
    ) -> Result<(), String>
    where
        F: Future<Output = Result<(), String>>,
    {
        let stream = self.bucket.stream_name();
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(topology::PRESENCE, &stream)
            .await
            .map_err(|error| error.to_string())?;
        opened(consumer.cached_info().clone()).await?;
        self.health.set(self.check(), Ok(()));
        if std::mem::take(failing) {
            tracing::info!(presence.bucket = self.bucket.name(), "reading events again");
        }
        let mut lag = tokio::time::interval(LAG_EVERY);
        loop {
            if lag.tick().now_or_never().is_some() {
                let info = consumer.get_info().await.map_err(|error| error.to_string())?;
                self.metrics.lag.saw(&info);
            }
            self.broken.mark_unchanged();
            let fetch = consumer.fetch().max_messages(FETCH_MAX).expires(PULL).messages();
            let mut pull = fetch.await.map_err(|error| error.to_string())?;
            if !self.hand_on(&mut pull, events).await? {
                return Ok(());
            }
        }
    }

    /// `false` once nobody wants events any more.
    async fn hand_on(
        &mut self,
        pull: &mut pull::Batch,
        events: &mpsc::Sender<Event>,
    ) -> Result<bool, String> {
        loop {
            let next = tokio::select! {
                biased;
                next = pull.next() => next,
                Ok(()) = self.broken.changed() => return Err("the connection broke".into()),
            };
            let message = match next {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(error.to_string()),
                None => return Ok(true),
            };
            let Some(event) = Event::new(message) else {
                tracing::error!(
                    presence.bucket = self.bucket.name(),
                    "a message came without its place; ignoring it"
                );
                continue;
            };
            if let Err(unwanted) = events.send(event).await {
                unwanted.0.answer(AckKind::Nak(None)).await;
                return Ok(false);
            }
        }
    }

    fn check(&self) -> String {
        format!("events of {}", self.bucket.name())
    }
}
