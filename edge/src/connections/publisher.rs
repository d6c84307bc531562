//! The connection on which messages are stored: never resumed, always replaced.
//!
//! A connection that comes back by itself sends what waited in its queue after what was lost with
//! the old socket, and a later message would be stored before an earlier one. Here each link ends
//! with its socket: what was not on its way never will be, its acks fail at once, and whoever
//! waited for them hands the messages to the next link, in order.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, Event,
    connection::State,
    jetstream::{self, context::ContextBuilder},
};
use natterjack_nats::cluster::{self, JoinError, Login};
use natterjack_runtime::{health::Health, lifecycle::Tasks};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::tell;

/// How long one try to publish may wait for its ack.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// Acks that may be outstanding over all sessions: what a server stores in a few seconds.
const ACKS_IN_FLIGHT: usize = 50_000;
/// First and longest pause between tries to connect, without jitter.
const PAUSE_MS: (u64, u64) = (50, 2_000);
/// How often a link is looked at whose end might not have been told.
const LOOK: Duration = Duration::from_millis(500);

/// The present link, as long as there is one; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    current: watch::Sender<Option<Link>>,
    closed: CancellationToken,
}

/// One connection from its begin to its end.
#[derive(Debug, Clone)]
pub struct Link {
    /// Counts the links.
    pub generation: u64,
    /// JetStream over it.
    pub context: jetstream::Context,
}

/// How to get another link.
struct Source {
    login: Login,
    name: String,
    health: Health,
}

/// A link with what tells of its end.
struct Open {
    client: Client,
    lost: CancellationToken,
}

impl Publisher {
    /// Connects, and keeps replacing what breaks until [`Self::close`].
    pub(super) async fn start(
        login: &Login,
        name: String,
        health: &Health,
        tasks: &Tasks,
    ) -> Result<Self, JoinError> {
        let source = Source {
            login: login.clone(),
            name,
            health: health.clone(),
        };
        let open = source.open().await?;
        let publisher = Self(Arc::new(Inner {
            current: watch::Sender::new(Some(open.link(1))),
            closed: CancellationToken::new(),
        }));
        let (this, shutdown) = (publisher.clone(), tasks.shutdown().clone());
        tasks.spawn("nats.publish", async move {
            tokio::select! {
                () = this.keep(&source, open) => {}
                () = this.0.closed.cancelled() => {}
                () = shutdown.killed() => {}
            }
            this.0.current.send_replace(None);
            Ok(())
        });
        Ok(publisher)
    }

    /// The present link; `None` while there is none.
    #[must_use]
    pub fn current(&self) -> Option<Link> {
        self.0.current.borrow().clone()
    }

    /// Hears of links that come and go.
    #[must_use]
    pub fn links(&self) -> watch::Receiver<Option<Link>> {
        self.0.current.subscribe()
    }

    pub(super) fn close(&self) {
        self.0.closed.cancel();
    }

    async fn keep(&self, source: &Source, mut open: Open) {
        for generation in 2.. {
            open.is_lost().await;
            self.0.current.send_replace(None);
            tell(&source.health, "publish", &Event::Disconnected);
            open = source.open_again().await;
            self.0.current.send_replace(Some(open.link(generation)));
        }
    }
}

impl Source {
    async fn open(&self) -> Result<Open, JoinError> {
        let lost = CancellationToken::new();
        let told = lost.clone();
        let on_event = move |event: Event| match event {
            Event::Disconnected | Event::Closed => told.cancel(),
            Event::Connected | Event::ClientError(_) => {}
            other => {
                tracing::warn!(nats.connection = "publish", nats.event = %other, "an event of the NATS connection");
            }
        };
        let client = cluster::connect_once(&self.login, &self.name, on_event).await?;
        self.health.set("nats.publish", Ok(()));
        Ok(Open { client, lost })
    }

    async fn open_again(&self) -> Open {
        let mut pause_ms = PAUSE_MS.0;
        loop {
            // All edges lose the server at the same moment.
            let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
            sleep(Duration::from_millis(pause_ms / 2 + random % (pause_ms / 2))).await;
            match self.open().await {
                Ok(open) => return open,
                Err(error) => tracing::debug!(%error, "no connection to NATS yet"),
            }
            pause_ms = (pause_ms * 2).min(PAUSE_MS.1);
        }
    }
}

impl Open {
    fn link(&self, generation: u64) -> Link {
        let context = ContextBuilder::new()
            .timeout(PUBLISH_TIMEOUT)
            .ack_timeout(PUBLISH_TIMEOUT)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(self.client.clone());
        Link { generation, context }
    }

    /// Resolves once the socket is gone. The event that tells of it may get lost in a rush of them.
    async fn is_lost(&self) {
        let looked = async {
            while self.client.connection_state() == State::Connected {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = self.lost.cancelled() => {}
            () = looked => {}
        }
    }
}
