//! Access tokens of our own: JWT with EdDSA, checked with the keys that the persister publishes in
//! the bucket `cluster`. The persister signs, the edge only ever sees public keys.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{self, kv};
use natterjack_nats::{
    UserId, follow,
    subjects::kv::cluster,
    topology::Bucket,
    wire::{TOKEN_AUDIENCE, TOKEN_ISSUER},
};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks};

use super::{
    Identity,
    gate::Keys,
    keys::KeySet,
    token::{self, Claims, TokenError, Unverified},
};

/// How long to wait before a broken watch is set up again.
const WATCH_RETRY: Duration = Duration::from_secs(2);

/// Checks our own tokens.
pub(super) struct Own {
    keys: Arc<Keys>,
    context: jetstream::Context,
}

/// Why one of our own tokens was not judged good.
pub(super) enum OwnError {
    /// It is not.
    Token(TokenError),
    /// There are no keys yet: nobody can tell.
    NoKeys,
}

impl Own {
    /// Reads the keys and keeps them true. Goes on without them where nothing was published yet.
    pub async fn start(context: jetstream::Context, clock: Clock, tasks: &Tasks) -> Self {
        let keys = Arc::new(Keys::new(read(&context).await.unwrap_or_default(), clock));
        let watched = Arc::clone(&keys);
        let watch_context = context.clone();
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("auth.keys", async move {
            tokio::select! {
                () = watch(&watch_context, &watched) => {}
                () = shutdown.draining() => {}
            }
            Ok(())
        });
        Self { keys, context }
    }

    pub async fn verify(&self, token: &str, named: &Unverified, now_ms: u64) -> Result<Identity, OwnError> {
        // Our own tokens always name their key: there are several while keys are rotated.
        let kid = named
            .kid
            .as_deref()
            .ok_or(OwnError::Token(TokenError::Invalid("no key id")))?;
        let Some(keys) = self
            .keys
            .with_key(Some(kid), async || read(&self.context).await)
            .await
        else {
            return Err(if self.keys.current().is_empty() {
                OwnError::NoKeys
            } else {
                OwnError::Token(TokenError::Invalid("unknown key"))
            });
        };
        identify(token, &keys, kid, now_ms).map_err(OwnError::Token)
    }
}

/// The identity in one of our own tokens.
pub(super) fn identify(token: &str, keys: &KeySet, kid: &str, now_ms: u64) -> Result<Identity, TokenError> {
    let key = keys.find(Some(kid)).ok_or(TokenError::Invalid("unknown key"))?;
    let claims: Claims = token::verify(token, key, TOKEN_ISSUER, TOKEN_AUDIENCE, now_ms)?;
    let user: UserId = claims.sub.parse().map_err(|_| TokenError::Invalid("subject"))?;
    let device = claims.text("did").and_then(|id| id.parse().ok());
    Ok(Identity {
        user,
        device: device.ok_or(TokenError::Invalid("device"))?,
        expires_at_ms: claims.expires_at_ms(),
        issued_at_ms: claims.issued_at_ms(),
    })
}

async fn bucket(context: &jetstream::Context) -> Option<kv::Store> {
    context
        .get_key_value(Bucket::Cluster.name())
        .await
        .inspect_err(|error| tracing::warn!(%error, "the bucket of the access tokens' keys does not answer"))
        .ok()
}

async fn read(context: &jetstream::Context) -> Option<KeySet> {
    let read = bucket(context).await?.get(cluster::JWKS).await;
    match read {
        Ok(value) => decode(&value?),
        Err(error) => {
            tracing::warn!(%error, "the access tokens' keys cannot be read");
            None
        }
    }
}

fn decode(json: &[u8]) -> Option<KeySet> {
    KeySet::from_jwks(json)
        .inspect_err(|error| tracing::error!(%error, "the published keys of access tokens are of no use"))
        .ok()
}

async fn watch(context: &jetstream::Context, keys: &Keys) {
    loop {
        if let Ok(mut entries) = follow::watch(context, Bucket::Cluster, cluster::JWKS).await {
            while let Some(Ok(entry)) = entries.next().await {
                if let (kv::Operation::Put, Some(set)) = (entry.operation, decode(&entry.value)) {
                    keys.set(set);
                }
            }
            tracing::warn!("the watch of the access tokens' keys ended; it starts again");
        }
        tokio::time::sleep(WATCH_RETRY).await;
    }
}
