//! Tokens of an outside identity provider ("bring your own JWT"): checked with the provider's
//! keys, then the persister names the user, who is created at first sight.

use std::{path::Path, time::Duration};

use anyhow::Context;
use natterjack_nats::{
    DeviceId, UserId,
    services::{accounts::External, call},
    wire::{HelloDevice, WireError},
};
use natterjack_runtime::clock::Clock;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Identity,
    args::{KeySource, Provider},
    cache::Cache,
    gate::Keys,
    keys::{JWKS_BYTES_MAX, KeySet},
    token::{self, Claims, TokenError, Unverified},
};

/// How long fetching the keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the persister may take to name the user.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// Users that are remembered, and for how long, so that the persister is not asked on every
/// request, and known users come in while it is away.
const USERS_MAX: usize = 100_000;
const USERS_TTL_MS: u64 = 15 * 60 * 1_000;

/// Longest name that is passed on for a new account, in characters.
const NAME_CHARS_MAX: usize = natterjack_nats::limits::NAME_CHARS_MAX;

/// Checks tokens of the configured provider.
pub(super) struct Outside {
    provider: Provider,
    keys: Keys,
    http: reqwest::Client,
    service: async_nats::Client,
    users: Cache<(String, DeviceId), UserId>,
}

impl Outside {
    pub async fn start(
        provider: Provider,
        service: async_nats::Client,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(3))
            .build()
            .context("the HTTP client for --jwt-jwks")?;
        let keys = match read(&http, &provider.keys).await {
            Ok(keys) => keys,
            // A provider that is away for a moment must not keep the edge from starting; a file
            // that is wrong will not mend itself.
            Err(error) if matches!(provider.keys, KeySource::Url(_)) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no keys of the outside identity provider yet"
                );
                KeySet::default()
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            provider,
            keys: Keys::new(keys, clock),
            http,
            service,
            users: Cache::new(USERS_MAX, USERS_TTL_MS),
        })
    }

    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// The verified claims of a token.
    pub async fn verify(&self, token: &str, named: &Unverified, now_ms: u64) -> Result<Claims, TokenError> {
        let kid = named.kid.as_deref();
        let keys = self.keys.with_key(kid, async || self.read_again().await).await;
        let keys = keys.ok_or(TokenError::Invalid("unknown key"))?;
        let key = keys.find(kid).ok_or(TokenError::Invalid("unknown key"))?;
        let Provider { issuer, audience, .. } = &self.provider;
        let claims = token::verify(token, key, issuer, audience, now_ms)?;
        if claims.sub.is_empty() || claims.sub.len() > 255 {
            return Err(TokenError::Invalid("subject"));
        }
        Ok(claims)
    }

    /// Who that is here.
    pub async fn identify(
        &self,
        claims: &Claims,
        device: Option<&HelloDevice>,
        now_ms: u64,
    ) -> Result<Identity, WireError> {
        let id = device
            .and_then(|device| device.id)
            .unwrap_or_else(|| derived_device(&self.provider.issuer, &claims.sub, claims.text("sid")));
        let key = (claims.sub.clone(), id);
        let user = match self.users.get(&key, now_ms) {
            Some(user) => user,
            None => {
                let request = External {
                    issuer: self.provider.issuer.clone(),
                    subject: claims.sub.clone(),
                    handle: claims.text("preferred_username").map(shortened),
                    name: claims.text("name").map(shortened),
                    device: Some((id, described(device, id))),
                };
                let profile = call(&self.service, &request, ACCOUNT_TIMEOUT).await?;
                self.users.insert(key, profile.id, now_ms);
                profile.id
            }
        };
        Ok(Identity {
            user,
            device: id,
            expires_at_ms: claims.expires_at_ms(),
            issued_at_ms: claims.issued_at_ms(),
        })
    }

    async fn read_again(&self) -> Option<KeySet> {
        read(&self.http, &self.provider.keys)
            .await
            .inspect_err(|error| {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the outside identity provider's keys cannot be read"
                );
            })
            .ok()
    }
}

/// A device for a client that brings none: the same for the same login (`sid`) at the provider,
/// or the user's one nameless device. Not made from `jti`, which changes with every token.
fn derived_device(issuer: &str, subject: &str, login: Option<&str>) -> DeviceId {
    let mut hash = Sha256::new();
    for part in [issuer, subject, login.unwrap_or_default()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    DeviceId::from_uuid(Uuid::from_bytes(bytes))
}

fn described(device: Option<&HelloDevice>, id: DeviceId) -> HelloDevice {
    HelloDevice {
        id: Some(id),
        name: shortened(device.map_or("", |device| &device.name)),
        platform: shortened(device.map_or("", |device| &device.platform)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

async fn read(http: &reqwest::Client, source: &KeySource) -> anyhow::Result<KeySet> {
    match source {
        KeySource::Url(url) => {
            let json = fetch(http, url)
                .await
                .with_context(|| format!("--jwt-jwks {url}"))?;
            KeySet::from_jwks(&json).with_context(|| format!("--jwt-jwks {url}"))
        }
        KeySource::File(path) => {
            let json = read_file(path).await?;
            KeySet::from_jwks(&json).with_context(|| format!("--jwt-jwks {}", path.display()))
        }
        KeySource::Pem(path) => {
            let pem = read_file(path).await?;
            KeySet::from_pem(&pem).with_context(|| format!("--jwt-key {}", path.display()))
        }
        KeySource::Secret(path) => {
            let secret = read_file(path).await?;
            KeySet::from_secret(&secret).with_context(|| format!("--jwt-secret-file {}", path.display()))
        }
    }
}

async fn fetch(http: &reqwest::Client, url: &reqwest::Url) -> anyhow::Result<Vec<u8>> {
    let mut response = http.get(url.clone()).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        anyhow::ensure!(
            body.len() + chunk.len() <= JWKS_BYTES_MAX,
            "the JWK set is larger than {JWKS_BYTES_MAX} bytes"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = tokio::fs::metadata(path)
        .await
        .with_context(|| path.display().to_string())?
        .len();
    anyhow::ensure!(
        size <= JWKS_BYTES_MAX as u64,
        "{} is larger than {JWKS_BYTES_MAX} bytes",
        path.display()
    );
    tokio::fs::read(path)
        .await
        .with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_device_is_stable_and_its_own() {
        let device = |subject, login| derived_device("https://id.example", subject, login);
        assert_eq!(device("ann", None), device("ann", None));
        assert_ne!(device("ann", None), device("bob", None));
        assert_ne!(device("ann", Some("1")), device("ann", Some("2")));
        let id = device("ann", None);
        assert_eq!(id.to_string().parse(), Ok(id), "safe as a subject token");
    }
}
