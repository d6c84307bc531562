//! The ways to NATS: three connections, because a client does all its I/O on one task. A page of
//! history must not hold up an ack, nor a burst of live messages a page of history.

mod publisher;

use std::time::Duration;

use async_nats::{Client, Event};
use natterjack_nats::{EdgeId, cluster};
use natterjack_runtime::{health::Health, lifecycle::Tasks};
pub use publisher::{Link, Publisher};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::live::Doubt;

/// How long a connection may take to end.
const CLOSE: Duration = Duration::from_secs(1);

/// The connections of one edge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Stores messages and receipts.
    pub publish: Publisher,
    /// Hears the live tail, and publishes ephemeral frames.
    pub live: Client,
    /// Calls services and reads streams.
    pub service: Client,
    ends: Ends,
}

/// How far the end of the connections has come.
#[derive(Debug, Clone, Default)]
struct Ends {
    /// They are being closed from this side: nothing that they tell of it is news.
    closing: CancellationToken,
    live: CancellationToken,
    service: CancellationToken,
}

impl Connections {
    /// Connects. `doubt` hears of whatever may have cost the live tail something.
    ///
    /// # Errors
    /// NATS does not answer, or is too old.
    pub async fn connect(
        url: &str,
        edge: EdgeId,
        health: &Health,
        doubt: &Doubt,
        tasks: &Tasks,
    ) -> Result<Self, cluster::JoinError> {
        let ends = Ends::default();
        let name = |part: &str| format!("natterjack-edge-{edge} {part}");
        let connect = async |part: &'static str, closed: &CancellationToken, doubt: Option<Doubt>| {
            let (health, closing, closed) = (health.clone(), ends.closing.clone(), closed.clone());
            let on_event = move |event: Event| {
                if matches!(event, Event::Closed) {
                    closed.cancel();
                }
                if closing.is_cancelled() {
                    return;
                }
                tell(&health, part, &event);
                if let Some(doubt) = &doubt {
                    doubt.hear(&event);
                }
            };
            cluster::connect(url, &name(part), on_event).await
        };
        Ok(Self {
            publish: Publisher::start(url, name("publish"), health, tasks).await?,
            live: connect("live", &ends.live, Some(doubt.clone())).await?,
            service: connect("service", &ends.service, None).await?,
            ends,
        })
    }

    /// Ends all connections, so that the server may end too without anybody missing it. Nothing
    /// can be stored or asked afterwards.
    pub async fn close(&self) {
        self.ends.closing.cancel();
        self.publish.close();
        for (client, closed) in [(&self.live, &self.ends.live), (&self.service, &self.ends.service)] {
            let close = async {
                // It fails only where the connection has ended already.
                if client.drain().await.is_ok() {
                    closed.cancelled().await;
                }
            };
            if timeout(CLOSE, close).await.is_err() {
                tracing::debug!("a connection to NATS did not end in time");
            }
        }
    }
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
