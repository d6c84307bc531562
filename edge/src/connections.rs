//! The ways to NATS: three connections, because each does all its I/O on one task. A page of
//! history must not hold up an ack, nor a burst of live messages a page of history. The third, on
//! which the live tail is heard, is the [hub](crate::live::Hub)'s own.

mod follow;
mod publisher;

use std::time::Duration;

use async_nats::{Client, Event};
pub use follow::{Follower, Reconnects};
use natterjack_nats::{
    EdgeId,
    cluster::{self, Login},
};
use natterjack_runtime::{health::Health, lifecycle::Tasks};
pub use publisher::{Link, Publisher};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a connection may take to end.
const CLOSE: Duration = Duration::from_secs(1);

/// The connections of one edge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Stores messages and receipts.
    pub publish: Publisher,
    /// Calls services, reads streams, and publishes ephemeral frames.
    pub service: Client,
    /// Tells when [`Self::service`] is there again.
    pub reconnects: Reconnects,
    ends: Ends,
}

/// How far the end of the connections has come.
#[derive(Debug, Clone, Default)]
struct Ends {
    /// They are being closed from this side: nothing that they tell of it is news.
    closing: CancellationToken,
    service: CancellationToken,
}

impl Connections {
    /// Connects.
    ///
    /// # Errors
    /// NATS does not answer, or is too old.
    pub async fn connect(
        login: &Login,
        edge: EdgeId,
        health: &Health,
        tasks: &Tasks,
    ) -> Result<Self, cluster::JoinError> {
        let (ends, reconnects) = (Ends::default(), Reconnects::default());
        let (told, ended, again) = (health.clone(), ends.clone(), reconnects.clone());
        let on_event = move |event: Event| {
            again.hear(&event);
            if matches!(event, Event::Closed) {
                ended.service.cancel();
            }
            if !ended.closing.is_cancelled() {
                tell(&told, "service", &event);
            }
        };
        Ok(Self {
            publish: Publisher::start(login, name(edge, "publish"), health, tasks).await?,
            service: cluster::connect(login, &name(edge, "service"), on_event).await?,
            reconnects,
            ends,
        })
    }

    /// Ends all connections, so that the server may end too without anybody missing it. Nothing
    /// can be stored or asked afterwards.
    pub async fn close(&self) {
        self.ends.closing.cancel();
        self.publish.close();
        let close = async {
            // It fails only where the connection has ended already.
            if self.service.drain().await.is_ok() {
                self.ends.service.cancelled().await;
            }
        };
        if timeout(CLOSE, close).await.is_err() {
            tracing::debug!("a connection to NATS did not end in time");
        }
    }
}

/// How operators see a connection of an edge, in `nats server report connections`.
#[must_use]
pub fn name(edge: EdgeId, part: &str) -> String {
    format!("natterjack-edge-{edge} {part}")
}

/// Tells operators what happened to a connection.
fn tell(health: &Health, part: &'static str, event: &Event) {
    let check = format!("nats.{part}");
    match event {
        Event::Connected => health.set(check, Ok(())),
        Event::Disconnected => {
            tracing::warn!(nats.connection = part, "disconnected from NATS; reconnecting");
            health.set(check, Err("disconnected from NATS".into()));
        }
        other => {
            tracing::warn!(nats.connection = part, nats.event = %other, "an event of the NATS connection");
        }
    }
}
