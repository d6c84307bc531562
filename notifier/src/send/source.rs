//! Fetches what is to be pushed, never more than there is room for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    Client,
    jetstream::{
        self, AckKind, Context,
        consumer::{PullConsumer, pull},
    },
};
use futures::{FutureExt as _, StreamExt as _, stream::ReadyChunks};
use natterjack_nats::{topology::Bucket, wire::Channel};
use natterjack_runtime::{health::Health, lifecycle::Shutdown};
use natterjack_service::lag::Lag;
use rand::RngExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::{answers::answer, seldom::Seldom};

/// Most entries that are asked for at once, and whose registrations are read at once.
const FETCH_MAX: usize = 128;
/// How long the server keeps a request for entries while there are none.
const PULL: Duration = Duration::from_secs(5);
/// Longest pause before the consumer is opened again.
const REOPEN_MS_MAX: u64 = 500;
/// What the server has sent when the drain begins is here within this time of the last that came.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// How often the lag is looked at.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// An entry as it came, with its part of the room that there is.
pub type Fetched = (jetstream::Message, Instant, OwnedSemaphorePermit);

/// A consumer to read from.
pub struct Source {
    /// The connection that reads.
    pub client: Client,
    /// Of this connection.
    pub context: Context,
    /// Which consumer.
    pub channel: Channel,
    /// A permit for each entry that may be held at once.
    pub room: Arc<Semaphore>,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Counts how often the connection broke: what was asked for before is not answered any more.
    pub broken: watch::Receiver<u64>,
    /// Where it says whether it can read.
    pub health: Health,
    /// Where it says how far it is.
    pub lag: Lag,
    /// When it was last told that almost as many wait as may.
    pub full: Seldom,
}

impl Source {
    /// Fetches until the drain, and hands on what comes, as much at once as there is.
    pub async fn run(mut self, fetched: mpsc::Sender<Vec<Fetched>>) {
        self.fetch(fetched).await;
        // A connection that is dropped takes with it what has not left.
        if let Err(error) = self.client.flush().await {
            tracing::debug!(%error, "the last answers did not leave");
        }
    }

    async fn fetch(&mut self, fetched: mpsc::Sender<Vec<Fetched>>) {
        let shutdown = self.shutdown.clone();
        let mut failing = false;
        while !shutdown.is_draining() {
            let Err(error) = self.read(&fetched, &mut failing).await else {
                return;
            };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(push.channel = %self.channel, error, "pushes cannot be read; trying on");
            }
            self.health.set(self.check(), Err(error));
            let pause = rand::rng().random_range(50..=REOPEN_MS_MAX);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                () = shutdown.draining() => {}
            }
        }
    }

    /// Reads until something fails, or nobody wants entries any more.
    async fn read(&mut self, fetched: &mpsc::Sender<Vec<Fetched>>, failing: &mut bool) -> Result<(), String> {
        let consumer: PullConsumer = self
            .context
            .get_consumer_from_stream(self.channel.as_str(), Bucket::Pushes.stream_name())
            .await
            .map_err(|error| error.to_string())?;
        self.health.set(self.check(), Ok(()));
        if std::mem::take(failing) {
            tracing::info!(push.channel = %self.channel, "reading pushes again");
        }
        let mut lag = tokio::time::interval(LAG_EVERY);
        loop {
            if lag.tick().now_or_never().is_some() {
                let info = consumer.get_info().await.map_err(|error| error.to_string())?;
                self.lag.saw(&info);
                self.warn_if_full(info.num_ack_pending, info.config.max_ack_pending);
            }
            let mut room = tokio::select! {
                room = self.room() => room?,
                () = self.shutdown.draining() => return Ok(()),
            };
            self.broken.mark_unchanged();
            let fetch = consumer
                .fetch()
                .max_messages(room.num_permits())
                .expires(PULL)
                .messages();
            let pull = fetch.await.map_err(|error| error.to_string())?;
            if !self
                .hand_on(pull.ready_chunks(FETCH_MAX), &mut room, fetched)
                .await?
            {
                return Ok(());
            }
        }
    }

    /// As much room as there is, and some at least.
    async fn room(&self) -> Result<OwnedSemaphorePermit, String> {
        let closed = |_| "the room is closed".to_owned();
        let mut room = Arc::clone(&self.room).acquire_owned().await.map_err(closed)?;
        let more = self.room.available_permits().min(FETCH_MAX - 1);
        let more = u32::try_from(more).unwrap_or(0);
        // Nobody else takes from it.
        if let Ok(more) = Arc::clone(&self.room).try_acquire_many_owned(more) {
            room.merge(more);
        }
        Ok(room)
    }

    /// `false` once nobody wants entries any more.
    async fn hand_on(
        &mut self,
        mut pull: ReadyChunks<pull::Batch>,
        room: &mut OwnedSemaphorePermit,
        fetched: &mpsc::Sender<Vec<Fetched>>,
    ) -> Result<bool, String> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.shutdown.draining() => {
                    hand_back(&mut pull).await;
                    return Ok(false);
                }
                next = pull.next() => next,
                Ok(()) = self.broken.changed() => return Err("the connection broke".into()),
            };
            let Some(chunk) = next else { return Ok(true) };
            let (mut batch, mut failed) = (Vec::with_capacity(chunk.len()), None);
            for message in chunk {
                match (message, room.split(1)) {
                    (Ok(message), Some(part)) => batch.push((message, Instant::now(), part)),
                    // More than was asked for: it comes again once its ack is overdue.
                    (Ok(_), None) => tracing::error!("a consumer gave more than it was asked for"),
                    (Err(error), _) => failed = Some(error.to_string()),
                }
            }
            if !batch.is_empty()
                && let Err(unwanted) = fetched.send(batch).await
            {
                for (message, ..) in unwanted.0 {
                    answer(&message, AckKind::Nak(None)).await;
                }
                hand_back(&mut pull).await;
                return Ok(false);
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Where as many are unacked as may be, nothing is delivered any more.
    fn warn_if_full(&self, unacked: usize, max: i64) {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        if unacked < max / 10 * 9 {
            self.full.over();
        } else if self.full.now() {
            tracing::warn!(
                push.channel = %self.channel,
                unacked,
                max,
                "almost as many pushes wait to be tried again as may wait; beyond that none is pushed, wherever it \
                 goes: see push_origins_paused, and the trace of one of them for what its push service says"
            );
        }
    }

    fn check(&self) -> String {
        format!("pushes by {}", self.channel)
    }
}

/// What has come and was not looked at, or is on its way, goes to another process.
async fn hand_back(pull: &mut ReadyChunks<pull::Batch>) {
    while let Ok(Some(chunk)) = tokio::time::timeout(ON_THE_WAY, pull.next()).await {
        for message in chunk.into_iter().flatten() {
            // Not at once: it would come to this process again, which still asks.
            answer(&message, AckKind::Nak(Some(ON_THE_WAY * 2))).await;
        }
    }
}
