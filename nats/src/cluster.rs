//! Joining a cluster: connecting, checking the server's version, and reading what was agreed at
//! provisioning.

mod address;
mod args;
mod auth;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub use address::{Address, AddressError};
pub use args::{Login, NatsArgs};
use async_nats::{
    AuthError, Client, ConnectErrorKind, ConnectOptions, Event,
    jetstream::{
        self, ErrorCode,
        context::{GetStreamError, GetStreamErrorKind, KeyValueError},
        kv as kv_store,
    },
};
pub use auth::{LoginError, NatsAuth, Signer};
pub use tls::Trust;

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
    /// The URL names no servers, or a file does not say how to log in.
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
    /// The server does not let us in.
    #[error("the NATS server at {url} refuses {who} (Authorization Violation): {hint}")]
    Refused {
        /// Where.
        url: String,
        /// As whom we came.
        who: String,
        /// What to do.
        hint: &'static str,
    },
    /// The server shows a certificate that we do not trust, or none.
    #[error(
        "no TLS with the NATS server at {url}: {reason}. NATS_CA names the certificate of the authority \
         that signed the server's; the server's must name the host in NATS_URL"
    )]
    Tls {
        /// Where.
        url: String,
        /// What is wrong.
        reason: String,
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
    /// A bucket is there or not, but we are not told.
    #[error(
        "the bucket `{bucket}` does not answer ({reason}): JetStream has no leader now, or this user may not \
         read it. The server's log says `Permissions Violation` then: NATS_NKEY must name the key of this role, \
         and accounts.conf must be as this version writes it"
    )]
    Unreadable {
        /// Which.
        bucket: &'static str,
        /// What came of it.
        reason: String,
    },
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
/// that `to` names: a URL, or a [`Login`].
///
/// The connection comes back by itself for ever, with a jittered delay of at most about 2 s.
/// `on_event` hears of disconnects, reconnects and slow consumers.
///
/// # Errors
/// [`JoinError::Connect`] if no server answers now, [`JoinError::Refused`], [`JoinError::Tls`],
/// [`JoinError::Address`], [`JoinError::TooOld`].
pub async fn connect(
    to: impl Into<Login>,
    name: &str,
    on_event: impl Fn(Event) + Clone + Send + Sync + 'static,
) -> Result<Client, JoinError> {
    let address = to.into().read()?;
    let jitter_ms = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    let auth = address.auth().clone();
    let options = ConnectOptions::with_auth_callback(move |nonce| std::future::ready(auth.answer(&nonce)));
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
    // Boxed: whoever connects somewhere deep inside has a small stack.
    Box::pin(join(options, &address, name, on_event)).await
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
    to: impl Into<Login>,
    name: &str,
    on_event: impl Fn(Event) + Clone + Send + Sync + 'static,
) -> Result<Client, JoinError> {
    let address = to.into().read()?;
    let auth = address.auth().clone();
    let used = Arc::new(AtomicBool::new(false));
    // async-nats cannot be told not to reconnect at all: the attempts that it must be left, one for
    // each server, are refused here.
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let first = !used.swap(true, Ordering::Relaxed);
        let answer = if first {
            auth.answer(&nonce)
        } else {
            Err(AuthError::new("used up"))
        };
        std::future::ready(answer)
    });
    let options = options
        .max_reconnects(address.servers().len())
        .reconnect_delay_callback(|_| Duration::ZERO);
    Box::pin(join(options, &address, name, on_event)).await
}

async fn join(
    options: ConnectOptions,
    address: &Address,
    name: &str,
    on_event: impl Fn(Event) + Clone + Send + Sync + 'static,
) -> Result<Client, JoinError> {
    let mut options = options
        .name(name)
        .custom_inbox_prefix(address.inbox_prefix())
        .require_tls(address.insists_on_tls())
        .ping_interval(Duration::from_secs(10))
        .request_timeout(Some(Duration::from_secs(5)))
        .event_callback(move |event| {
            on_event(event);
            std::future::ready(())
        });
    if address.trust().insists() {
        let trust = address.trust().clone();
        let config = tokio::task::spawn_blocking(move || trust.client_config()).await;
        options = options.tls_client_config(config.map_err(|error| JoinError::Tls {
            url: address.to_string(),
            reason: error.to_string(),
        })?);
    }
    let client = options.connect(address.servers()).await;
    let client = client.map_err(|source| refused(address, source))?;
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

/// What a person is told whom a server does not let in.
fn refused(address: &Address, source: async_nats::ConnectError) -> JoinError {
    let url = address.to_string();
    if source.kind() == ConnectErrorKind::AuthorizationViolation {
        let (who, hint) = match address.auth() {
            NatsAuth::Nothing => (
                "whoever does not log in".to_owned(),
                "set NATS_NKEY to the key of this role, from the folder of \
                 `natterjack provision --write-config`",
            ),
            NatsAuth::User { .. } | NatsAuth::Token(_) => (
                "the user in NATS_URL".to_owned(),
                "look up user and password in the server's configuration",
            ),
            NatsAuth::Nkey(key) => (
                format!("the nkey {key:?}"),
                "its public half must stand in the server's accounts.conf: if that was written anew, tell \
                 the server with `nats-server --signal reload`; else the file is that of another cluster",
            ),
            NatsAuth::Jwt { key, .. } => (
                format!("the JWT of {key:?}"),
                "ask who issued it whether it has expired or was revoked",
            ),
        };
        return JoinError::Refused { url, who, hint };
    }
    let reason = source.to_string();
    if source.kind() == ConnectErrorKind::Tls || reason.contains("certificate") {
        return JoinError::Tls { url, reason };
    }
    JoinError::Connect { url, source }
}

/// A bucket that provisioning makes. Who may not look at it hears nothing, as NATS does not answer what it
/// refuses: only JetStream's own word counts for that there is none.
async fn open(context: &jetstream::Context, bucket: Bucket) -> Result<kv_store::Store, JoinError> {
    let opened = context.get_key_value(bucket.name()).await;
    opened.map_err(|error| {
        if is_missing(&error) {
            return JoinError::NotProvisioned;
        }
        JoinError::Unreadable {
            bucket: bucket.name(),
            reason: error.to_string(),
        }
    })
}

/// Whether JetStream says that there is no such bucket.
fn is_missing(error: &KeyValueError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<GetStreamError>());
    source.is_some_and(|error| {
        matches!(error.kind(), GetStreamErrorKind::JetStream(error)
            if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
    })
}

/// The number of shards that the cluster was provisioned with.
///
/// # Errors
/// [`JoinError::Unreadable`], [`JoinError::NotProvisioned`], [`JoinError::BadShards`], [`JoinError::JetStream`].
pub async fn shards(context: &jetstream::Context) -> Result<Shards, JoinError> {
    let bucket = open(context, Bucket::Cluster).await?;
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
/// [`JoinError::Unreadable`], [`JoinError::NotProvisioned`], [`JoinError::BadVapid`], [`JoinError::JetStream`].
pub async fn vapid(context: &jetstream::Context) -> Result<VapidKey, JoinError> {
    let bucket = open(context, Bucket::PushKeys).await?;
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
