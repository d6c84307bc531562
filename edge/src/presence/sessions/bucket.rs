//! The entries of one edge in the bucket `sessions`.

use std::time::Duration;

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        self,
        context::{ContextBuilder, PublishError},
        message::PublishMessage,
    },
};
use natterjack_nats::{
    EdgeId,
    direct::{self, Batch, Bounds, DirectError},
    marker,
    subjects::kv,
    topology::{Bucket, MARKERS_KEPT},
};

use super::book::{Change, Key};

/// How long one write may wait for its ack.
const WRITE: Duration = Duration::from_secs(3);
/// Bounds of one read: entries are some 200 bytes.
const PAGE: Bounds = Bounds {
    messages: 1_000,
    bytes: 512 * 1024,
    timeout: Duration::from_secs(5),
};

/// Where this edge's sessions are written and read; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SessionBucket {
    context: jetstream::Context,
    edge: EdgeId,
}

impl SessionBucket {
    pub fn new(client: Client, edge: EdgeId) -> Self {
        let context = ContextBuilder::new().timeout(WRITE).ack_timeout(WRITE);
        Self {
            context: context.build(client),
            edge,
        }
    }

    /// Whether a write has a chance. What is handed to a connection that is away would wait in it.
    pub fn is_there(&self) -> bool {
        self.context.client().connection_state() == State::Connected
    }

    /// Writes one key. What was purged leaves a marker for a while, which presence hears.
    pub async fn write(&self, (user, device): Key, change: Change) -> Result<(), PublishError> {
        let subject = kv::subject(Bucket::Sessions, &kv::session(self.edge, user, device));
        let message = match change {
            Change::Put(session) => {
                let json = serde_json::to_vec(&session).unwrap_or_default();
                PublishMessage::build().payload(json.into())
            }
            Change::Purge => marker::ended(MARKERS_KEPT),
        };
        self.context.send_publish(subject, message).await?.await?;
        Ok(())
    }

    /// A page of what is stored, from this sequence on.
    pub async fn page(&self, from: u64) -> Result<Batch, DirectError> {
        let all = kv::subject(Bucket::Sessions, &kv::sessions_of_edge(self.edge));
        let client = self.context.client();
        direct::next_by_subject(&client, &Bucket::Sessions.stream_name(), &all, from, PAGE).await
    }
}
