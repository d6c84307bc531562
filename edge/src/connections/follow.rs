//! Following a KV bucket through whatever happens to the connection. A watch of async-nats comes back
//! by itself too, but may take more than ten seconds for it after an outage
//! (`jetstream/consumer/mod.rs`, `backoff`); who was revoked or which edge died must be known sooner.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::{
    Event,
    jetstream::{self, kv},
};
use natterjack_nats::{
    follow::{self, Watch},
    topology::Bucket,
};
use tokio::{sync::watch, time::sleep};

/// How long to wait before a broken watch is set up again, unless the connection comes back sooner.
const RETRY: Duration = Duration::from_secs(1);

/// Tells those who follow something that a connection is there again; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Reconnects(watch::Sender<()>);

impl Reconnects {
    /// For the callback of a connection's events.
    pub fn hear(&self, event: &Event) {
        if matches!(event, Event::Connected) {
            self.0.send_replace(());
        }
    }

    /// Changes with each time that the connection comes back.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// A bucket that is followed: all that stands in it, then what changes, and all that stands in it again
/// whenever something may have been missed.
pub struct Follower {
    context: jetstream::Context,
    bucket: Bucket,
    reconnected: watch::Receiver<()>,
    watch: Option<Watch>,
    /// The last watch broke without the connection: the next one is not tried at once.
    broken: bool,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// Begins; also answers whether there is anything in the bucket to catch up on.
    ///
    /// # Errors
    /// NATS does not answer, or there is no such bucket.
    pub async fn start(
        context: jetstream::Context,
        bucket: Bucket,
        reconnects: &Reconnects,
    ) -> anyhow::Result<(Self, bool)> {
        let reconnected = reconnects.0.subscribe();
        let (watch, pending) = open(&context, bucket)
            .await
            .with_context(|| format!("the bucket `{}` cannot be watched", bucket.name()))?;
        let this = Self {
            context,
            bucket,
            reconnected,
            watch: Some(watch),
            broken: false,
        };
        Ok((this, pending))
    }

    /// The next entry. Who drops this before it answers misses nothing.
    pub async fn next(&mut self) -> kv::Entry {
        loop {
            let Some(watch) = &mut self.watch else {
                self.begin().await;
                continue;
            };
            tokio::select! {
                biased;
                // What was lost with the old connection is not known: all is read again.
                () = again(&mut self.reconnected) => self.watch = None,
                entry = watch.next() => match entry {
                    Some(Ok(entry)) => return entry,
                    Some(Err(error)) => self.broke(&error.to_string()),
                    None => self.broke("it ended"),
                },
            }
        }
    }

    async fn begin(&mut self) {
        if std::mem::take(&mut self.broken) {
            tokio::select! {
                () = sleep(RETRY) => {}
                () = again(&mut self.reconnected) => {}
            }
        }
        self.reconnected.mark_unchanged();
        let opened = tokio::select! {
            opened = open(&self.context, self.bucket) => opened,
            // What was asked on the old connection may never be answered.
            () = again(&mut self.reconnected) => return,
        };
        match opened {
            Ok((watch, _)) => self.watch = Some(watch),
            Err(error) => self.broke(&format!("{error:#}")),
        }
    }

    fn broke(&mut self, reason: &str) {
        tracing::warn!(
            nats.bucket = self.bucket.name(),
            reason,
            "a watch broke; it starts again"
        );
        self.watch = None;
        self.broken = true;
    }
}

async fn open(context: &jetstream::Context, bucket: Bucket) -> anyhow::Result<(Watch, bool)> {
    let watch = follow::watch(context, bucket, follow::ALL_KEYS).await?;
    let pending = !watch.seen_current();
    Ok((watch, pending))
}

async fn again(reconnected: &mut watch::Receiver<()>) {
    if reconnected.changed().await.is_err() {
        // Nobody is left who would tell.
        std::future::pending::<()>().await;
    }
}
