//! The lease of one edge as it is stored: read from the leader, written by compare-and-set.

use std::time::Duration;

use async_nats::{
    Client,
    connection::State,
    jetstream::{
        self,
        context::{ContextBuilder, PublishErrorKind},
        kv::Store,
        message::PublishMessage,
        stream::LastRawMessageErrorKind,
    },
};
use natterjack_nats::{
    EdgeId,
    limits::LEASE_TTL_MS,
    marker,
    subjects::kv,
    topology::{Bucket, MARKERS_KEPT},
    wire,
};

/// How long a write or a read may take: less than the interval.
const ANSWER: Duration = Duration::from_secs(1);

/// Who holds the lease.
#[derive(Debug)]
pub(super) enum Held {
    /// Nobody: it was never held, it was given up, or it expired.
    Free { revision: u64 },
    /// A process, whichever; `None` if it says so in a form that this one does not know.
    By {
        revision: u64,
        lease: Option<Box<wire::Lease>>,
    },
}

/// Why it was not written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// Something else was written since, or the lease expired.
    #[error("the lease has changed")]
    Conflict,
    /// The outcome is not known.
    #[error("{0}")]
    Away(String),
}

#[derive(Debug)]
pub(super) struct LeaseStore {
    context: jetstream::Context,
    bucket: Store,
    edge: EdgeId,
}

impl LeaseStore {
    /// # Errors
    /// NATS is away, or not provisioned.
    pub async fn open(client: Client, edge: EdgeId) -> anyhow::Result<Self> {
        let context = ContextBuilder::new()
            .timeout(ANSWER)
            .ack_timeout(ANSWER)
            .build(client);
        let name = Bucket::Edges.name();
        let bucket = context.get_key_value(name).await.map_err(|error| {
            anyhow::anyhow!("the bucket `{name}` does not answer: {error}. Run `natterjack provision` first")
        })?;
        Ok(Self {
            context,
            bucket,
            edge,
        })
    }

    pub async fn read(&self) -> Result<Held, StoreError> {
        self.is_there()?;
        let stream = &self.bucket.stream;
        let stored = match stream.get_last_raw_message_by_subject(&self.subject()).await {
            Ok(stored) => stored,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(Held::Free { revision: 0 });
            }
            Err(error) => return Err(StoreError::Away(error.to_string())),
        };
        let revision = stored.sequence;
        let gone = ["KV-Operation", "Nats-Marker-Reason"];
        if gone.iter().any(|name| stored.headers.get(*name).is_some()) {
            return Ok(Held::Free { revision });
        }
        let lease = serde_json::from_slice(&stored.payload).ok();
        Ok(Held::By { revision, lease })
    }

    /// Answers the new revision.
    pub async fn write(&self, lease: &wire::Lease, revision: u64) -> Result<u64, StoreError> {
        self.is_there()?;
        let json = serde_json::to_vec(lease).map_err(|error| StoreError::Away(error.to_string()))?;
        let message = PublishMessage::build()
            .payload(json.into())
            .ttl(Duration::from_millis(LEASE_TTL_MS))
            .expected_last_subject_sequence(revision);
        let stored = async { self.context.send_publish(self.subject(), message).await?.await };
        match stored.await {
            Ok(ack) => Ok(ack.sequence),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Err(StoreError::Conflict),
            Err(error) => Err(StoreError::Away(error.to_string())),
        }
    }

    /// Gives the lease up, if it is still the one of this revision.
    pub async fn delete(&self, revision: u64) -> Result<(), StoreError> {
        self.is_there()?;
        let marker = marker::ended(MARKERS_KEPT).expected_last_subject_sequence(revision);
        let deleted = async { self.context.send_publish(self.subject(), marker).await?.await };
        deleted
            .await
            .map(drop)
            .map_err(|error| StoreError::Away(error.to_string()))
    }

    fn subject(&self) -> String {
        kv::subject(Bucket::Edges, &self.edge.to_string())
    }

    /// What is handed to a connection that is away would be written whenever it is back.
    fn is_there(&self) -> Result<(), StoreError> {
        if self.context.client().connection_state() == State::Connected {
            return Ok(());
        }
        Err(StoreError::Away("NATS is away".into()))
    }
}
