//! The bucket `edges`, and what its leader says of itself.

use async_nats::HeaderMap;
use natterjack_nats::{
    EdgeId,
    direct::{self, DirectError},
    limits::LEASE_TTL_MS,
    subjects::kv as keys,
    topology::Bucket,
};

use super::{READ_TIMEOUT, Store, StoreError, failed, unix_ms};
use crate::leases::{Holding, Known};

impl Store {
    /// What the leader has of an edge.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn lease(&self, edge: EdgeId) -> Result<Known, StoreError> {
        let found = self.last(&self.edges, Bucket::Edges, &edge.to_string()).await?;
        Ok(found.map_or(
            Known {
                holding: Holding::Never,
                revision: 0,
                stored_ms: 0,
            },
            |message| {
                let stored_ms = unix_ms(message.time.unix_timestamp_nanos());
                Known {
                    holding: holding(&message.payload, &message.headers, stored_ms),
                    revision: message.sequence,
                    stored_ms,
                }
            },
        ))
    }

    /// One page of what changed in `edges` from a sequence on, as [`Store::records_page`].
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn leases_page(&self, from: u64) -> Result<(Vec<(EdgeId, Known)>, Option<u64>), StoreError> {
        let all = keys::subject(Bucket::Edges, "*");
        let (messages, next) = self.page(Bucket::Edges, &all, from).await?;
        let known = messages.iter().filter_map(|message| {
            let edge = keys::key(Bucket::Edges, &message.subject)?.parse().ok()?;
            let stored_ms = message.stored_at_ms();
            let known = Known {
                holding: holding(&message.payload, &message.headers, stored_ms),
                revision: message.seq,
                stored_ms,
            };
            Some((edge, known))
        });
        Ok((known.collect(), next))
    }

    /// The leader's time, Unix milliseconds, and the last sequence of the bucket's stream.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn info(&self, bucket: Bucket) -> Result<(u64, u64), StoreError> {
        /// Of `$JS.API.STREAM.INFO`; async-nats leaves the time out.
        #[derive(serde::Deserialize)]
        struct Info {
            ts: String,
            state: State,
        }
        #[derive(serde::Deserialize)]
        struct State {
            last_seq: u64,
        }
        let subject = format!("$JS.API.STREAM.INFO.{}", bucket.stream_name());
        let request = self.client.request(subject, "".into());
        let reply = tokio::time::timeout(READ_TIMEOUT, request).await;
        let reply = reply.map_err(|_| DirectError::Timeout)?;
        let reply = reply.map_err(|error| failed(bucket, &error))?;
        let info: Info = serde_json::from_slice(&reply.payload).map_err(|error| failed(bucket, &error))?;
        let at_ms = direct::rfc3339_ms(&info.ts).ok_or_else(|| failed(bucket, &"no time in its info"))?;
        Ok((at_ms, info.state.last_seq))
    }
}

/// What stands in `edges`: a lease, or how it ended.
pub fn holding(payload: &[u8], headers: &HeaderMap, stored_ms: u64) -> Holding {
    match serde_json::from_slice(payload) {
        Ok(lease) => Holding::Held(lease),
        Err(error) => {
            if !payload.is_empty() {
                tracing::error!(%error, "an entry in the bucket edges does not decode; taking the edge for gone");
            }
            let lived_ms = if expired(headers) {
                stored_ms.saturating_sub(LEASE_TTL_MS)
            } else {
                stored_ms
            };
            Holding::Gone { lived_ms }
        }
    }
}

/// Whether a marker tells of an expiry, and not of a deletion.
pub fn expired(headers: &HeaderMap) -> bool {
    headers
        .get("Nats-Marker-Reason")
        .is_some_and(|reason| reason.as_str() == "MaxAge")
}
