//! The live tail's own reader of the NATS client protocol: one connection and one task, whoever
//! and however many listen.
//!
//! Frames are parsed where they lie in one buffer, the subscription's id is looked up, and its
//! target hears the message on the spot: no channel, no task and no header map in between, and a
//! subscription is an entry in a map. Why it is not async-nats, as everywhere else:
//! `docs/decisions/own-live-reader.md`.

mod connect;
mod link;
mod parse;
mod servers;
mod table;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::ServerAddr;
use connect::{ConnectError, Connected, Connector};
use natterjack_nats::cluster::Address;
use natterjack_runtime::{health::Health, lifecycle::Tasks};
pub(super) use parse::Message;
use servers::Servers;
pub(super) use table::Line;
use table::Table;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The check of this connection, for `/readyz`.
const CHECK: &str = "nats.live";
/// First and longest pause between rounds of tries to connect, without jitter.
const PAUSE_MS: (u64, u64) = (50, 2_000);

/// Who hears a subscription.
pub(super) trait Target: Clone + Send + 'static {
    /// What is subscribed to.
    fn subject(&self) -> String;
}

/// Takes in what is heard. Called by the reader's only task: it must not wait.
pub(super) trait Sink: Send + 'static {
    /// Who hears.
    type Target: Target;

    /// A message came for a target; answers for how many that was work.
    fn hear(&mut self, target: &Self::Target, message: &Message<'_>) -> usize;

    /// There is a connection again, after one that broke: something may be missing.
    fn reconnected(&mut self);
}

/// How to connect.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// The servers, and how to log in.
    pub(super) address: Address,
    /// As operators see the connection.
    pub(super) name: String,
}

/// The subscriptions of one connection that comes back for ever; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reader<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    table: Mutex<Table<T>>,
    /// There is something to tell the server.
    told: Notify,
    /// Up to which ticket the server has answered.
    passed: watch::Sender<u64>,
    closed: CancellationToken,
}

/// No server could be reached.
#[derive(Debug, thiserror::Error)]
#[error("no NATS server answers at {address}: {reason}")]
pub(super) struct StartError {
    address: String,
    reason: ConnectError,
}

impl<T: Target> Reader<T> {
    /// Without a connection yet: it may be subscribed to already.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            table: Mutex::new(Table::new()),
            told: Notify::new(),
            passed: watch::Sender::new(0),
            closed: CancellationToken::new(),
        }))
    }

    /// Connects, and stays connected until [`Self::close`] or the hard shutdown.
    ///
    /// # Errors
    /// No server lets us in now.
    pub(super) async fn start(
        &self,
        options: Options,
        sink: impl Sink<Target = T>,
        health: &Health,
        tasks: &Tasks,
    ) -> Result<(), StartError> {
        let mut life = Life {
            shared: Arc::clone(&self.0),
            servers: Servers::new(&options.address),
            connector: Connector {
                name: options.name,
                auth: options.address.auth().clone(),
                trust: options.address.trust().clone(),
                insists_on_tls: options.address.insists_on_tls(),
                tls: None,
            },
            sink,
            health: health.clone(),
        };
        let first = life.round(None).await.map_err(|reason| StartError {
            address: options.address.to_string(),
            reason,
        })?;
        let (closed, shutdown) = (self.0.closed.clone(), tasks.shutdown().clone());
        tasks.spawn("live.reader", async move {
            tokio::select! {
                () = life.run(first) => {}
                () = closed.cancelled() => {}
                () = shutdown.killed() => {}
            }
            Ok(())
        });
        Ok(())
    }

    /// Subscribes for the targets that `make` builds once it knows their line.
    pub(super) fn subscribe<const N: usize, R>(&self, make: impl FnOnce(Line) -> ([T; N], R)) -> R {
        let made = self.0.table().subscribe(make);
        self.0.told.notify_one();
        made
    }

    /// Ends `count` subscriptions that were made together. Nothing of them is heard from now on.
    pub(super) fn unsubscribe(&self, first: u64, count: u64) {
        self.0.table().unsubscribe(first, count);
        self.0.told.notify_one();
    }

    /// Resolves once the server has answered this ticket, and so has all that stood before it;
    /// whether it did in time.
    pub(super) async fn passes(&self, ticket: u64, limit: Duration) -> bool {
        let mut passed = self.0.passed.subscribe();
        let passes = *passed.borrow_and_update() >= ticket;
        passes
            || timeout(limit, passed.wait_for(|passed| *passed >= ticket))
                .await
                .is_ok_and(|passed| passed.is_ok())
    }

    /// Resolves once the server has all that was subscribed so far; whether it did in time.
    pub(super) async fn round_trip(&self, limit: Duration) -> bool {
        let ticket = self.0.table().ask();
        self.0.told.notify_one();
        self.passes(ticket, limit).await
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.0.table().len()
    }

    /// Ends the connection for good.
    pub(super) fn close(&self) {
        self.0.closed.cancel();
    }

    /// Resolves once it was ended for good.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }
}

impl<T> Shared<T> {
    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection after the other.
struct Life<S: Sink> {
    shared: Arc<Shared<S::Target>>,
    servers: Servers,
    connector: Connector,
    sink: S,
    health: Health,
}

impl<S: Sink> Life<S> {
    async fn run(mut self, first: Connected) {
        let mut connected = first;
        loop {
            self.servers.learn(&connected.info.connect_urls);
            self.health.set(CHECK, Ok(()));
            self.shared.table().connected();
            let server = connected.server.clone();
            let lost = link::hear(
                connected,
                &self.shared,
                &mut self.servers,
                &mut self.sink,
                &self.health,
            )
            .await;
            self.shared.table().disconnected();
            tracing::warn!(nats.connection = "live", nats.server = server.as_url_str(), reason = %lost, "disconnected from NATS; reconnecting");
            self.health.set(CHECK, Err("disconnected from NATS".into()));
            connected = self.again(&server).await;
            self.sink.reconnected();
        }
    }

    async fn again(&mut self, lost: &ServerAddr) -> Connected {
        let mut pause_ms = PAUSE_MS.0;
        loop {
            // All edges lose the server at the same moment.
            sleep(Duration::from_millis(pause_ms / 2 + random(pause_ms / 2))).await;
            match self.round(Some(lost)).await {
                Ok(connected) => return connected,
                Err(error) => {
                    tracing::debug!(%error, "no connection to NATS yet");
                    self.health
                        .set(CHECK, Err(format!("disconnected from NATS: {error}")));
                }
            }
            pause_ms = (pause_ms * 2).min(PAUSE_MS.1);
        }
    }

    /// Tries each server once; the last error if none lets us in.
    async fn round(&mut self, lost: Option<&ServerAddr>) -> Result<Connected, ConnectError> {
        let mut last = ConnectError::Timeout;
        for server in self.servers.in_turn(lost) {
            match self.connector.connect(&server).await {
                Ok(connected) => return Ok(connected),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A random number below `below`.
fn random(below: u64) -> u64 {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    random % below.max(1)
}
