//! Joining a cluster: connecting, checking the server's version, and reading what was agreed at
//! provisioning.

mod address;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use address::{Address, AddressError, NatsAuth};
use async_nats::{AuthError, Client, ConnectOptions, Event, jetstream};

use crate::{
    shard::Shards,
    subjects::kv,
    topology::{self, Bucket},
    wire::VapidKey,
};

/// The oldest nats-server that Natterjack runs on: per-message TTL and fsync group commit.
pub const SERVER_VERSION_MIN: (u64, u64) = (2, 15);

/// Why a cluster could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The URL names no servers.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No server answered.
    #[error("no NATS server answers at {url}: {source}. Start one, or set NATS_URL")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// The server is too old.
    #[error("the NATS server at {url} is version {found}; Natterjack needs 2.15 or newer")]
    TooOld {
        /// Where.
        url: String,
        /// What runs there.
        found: String,
    },
    /// Nothing was provisioned yet.
    #[error("the cluster is not provisioned: run `natterjack provision` first")]
    NotProvisioned,
    /// What is recorded makes no sense.
    #[error("the cluster records {0:?} shards, which is not a number from 1 to {max}", max = Shards::MAX)]
    BadShards(String),
    /// What is kept as the key pair of Web Push is none.
    #[error("what the bucket push_keys has under vapid is no key pair; put it back from a backup")]
    BadVapid,
    /// JetStream did not answer.
    #[error("JetStream does not answer: {0}")]
    JetStream(String),
}

/// Connects under a name that operators see in `nats server report connections`, to any of the servers
/// that `url` lists, separated by commas.
///
/// The connection comes back by itself for ever, with a jittered delay of at most about 2 s.
/// `on_event` hears of disconnects, reconnects and slow consumers.
///
/// # Errors
/// [`JoinError::Connect`] if no server answers now, [`JoinError::TooOld`].
pub async fn connect(
    url: &str,
    name: &str,
    on_event: impl Fn(Event) + Clone + Send + Sync + 'static,
) -> Result<Client, JoinError> {
    let address = Address::parse(url)?;
    let jitter_ms = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    let auth = address.auth().clone();
    let options =
        ConnectOptions::with_auth_callback(move |nonce| std::future::ready(Ok(auth.answer(&nonce))));
    let options = options
        .max_reconnects(None)
        // async-nats has no jitter of its own: without one, all edges come back at once.
        .reconnect_delay_callback(move |attempts| {
            let step = 50_u64.saturating_mul(1 << attempts.min(5));
            Duration::from_millis(if attempts <= 1 {
                jitter_ms / 4
            } else {
                step + jitter_ms
            })
        });
    join(options, &address, name, on_event).await
}

/// The same, but the connection does not come back: once it breaks, nothing that was handed to it
/// and is not on its way yet will ever be sent, and whatever waits for an answer fails at once.
///
/// A client that reconnects keeps what waits in its queue and sends it on the new connection, after
/// what was lost with the old one: that would change the order of messages.
///
/// # Errors
/// As [`connect`].
pub async fn connect_once(
    url: &str,
    name: &str,
    on_event: impl Fn(Event) + Clone + Send + Sync + 'static,
) -> Result<Client, JoinError> {
    let address = Address::parse(url)?;
    let auth = address.auth().clone();
    let used = Arc::new(AtomicBool::new(false));
    // async-nats cannot be told not to reconnect at all: the attempts that it must be left, one for
    // each server, are refused here.
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let first = !used.swap(true, Ordering::Relaxed);
        let answer = first.then(|| auth.answer(&nonce));
        std::future::ready(answer.ok_or_else(|| AuthError::new("used up")))
    });
    let options = options
        .max_reconnects(address.servers().len())
        .reconnect_delay_callback(|_| Duration::ZERO);
    join(options, &address, name, on_event).await
}

async fn join(
    options: ConnectOptions,
    address: &Address,
    name: &str,
    on_event: impl Fn(Event) + Clone + Send + Sync + 'static,
) -> Result<Client, JoinError> {
    let client = options
        .name(name)
        .ping_interval(Duration::from_secs(10))
        .request_timeout(Some(Duration::from_secs(5)))
        .event_callback(move |event| {
            on_event(event);
            std::future::ready(())
        })
        .connect(address.servers())
        .await
        .map_err(|source| JoinError::Connect {
            url: address.to_string(),
            source,
        })?;
    let found = client.server_info().version;
    let mut numbers = found
        .split(['.', '-'])
        .map(|number| number.parse::<u64>().unwrap_or_default());
    let version = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    if version < SERVER_VERSION_MIN {
        return Err(JoinError::TooOld {
            url: address.to_string(),
            found,
        });
    }
    Ok(client)
}

/// The number of shards that the cluster was provisioned with.
///
/// # Errors
/// [`JoinError::NotProvisioned`], [`JoinError::BadShards`], [`JoinError::JetStream`].
pub async fn shards(context: &jetstream::Context) -> Result<Shards, JoinError> {
    use async_nats::jetstream::context::KeyValueErrorKind;
    let bucket = context
        .get_key_value(Bucket::Cluster.name())
        .await
        .map_err(|error| match error.kind() {
            KeyValueErrorKind::GetBucket => JoinError::NotProvisioned,
            _ => JoinError::JetStream(error.to_string()),
        })?;
    let recorded = bucket
        .get(kv::cluster::SHARDS)
        .await
        .map_err(|error| JoinError::JetStream(error.to_string()))?;
    let recorded = recorded.ok_or(JoinError::NotProvisioned)?;
    let text = String::from_utf8_lossy(&recorded);
    text.parse()
        .ok()
        .and_then(Shards::new)
        .ok_or_else(|| JoinError::BadShards(text.into_owned()))
}

/// The key pair of Web Push, with its private half: for the notifier alone.
///
/// # Errors
/// [`JoinError::NotProvisioned`], [`JoinError::BadVapid`], [`JoinError::JetStream`].
pub async fn vapid(context: &jetstream::Context) -> Result<VapidKey, JoinError> {
    use async_nats::jetstream::context::KeyValueErrorKind;
    let bucket = context
        .get_key_value(Bucket::PushKeys.name())
        .await
        .map_err(|error| match error.kind() {
            KeyValueErrorKind::GetBucket => JoinError::NotProvisioned,
            _ => JoinError::JetStream(error.to_string()),
        })?;
    let kept = bucket
        .get(kv::push_keys::VAPID)
        .await
        .map_err(|error| JoinError::JetStream(error.to_string()))?;
    let kept = kept.ok_or(JoinError::NotProvisioned)?;
    serde_json::from_slice(&kept).map_err(|_| JoinError::BadVapid)
}

/// How long the cluster's chat streams recognise a retry by themselves: the shortest window of all,
/// as it is provisioned now.
///
/// # Errors
/// [`JoinError::JetStream`].
pub async fn dedupe_window(context: &jetstream::Context, shards: Shards) -> Result<Duration, JoinError> {
    let mut shortest = Duration::MAX;
    for shard in shards.all() {
        let stream = topology::chat_stream(shard);
        let info = context
            .get_stream(&stream)
            .await
            .map_err(|error| JoinError::JetStream(format!("{stream}: {error}")))?;
        shortest = shortest.min(info.cached_info().config.duplicate_window);
    }
    Ok(shortest)
}
