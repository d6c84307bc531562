//! The keys of access tokens.
//!
//! The private halves stay in Postgres; the public halves are published as a JWK set (RFC 7517,
//! RFC 8037) in the bucket `cluster`, so that an edge can verify a token and cannot make one.
//! Every persister looks after the keys; a lock in Postgres makes them take turns.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_nats::jetstream::kv;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use natterjack_nats::{
    DeviceId, UserId,
    subjects::kv::cluster,
    wire::{AccessClaims, TOKEN_AUDIENCE, TOKEN_ISSUER},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::db::{DbError, Tx, TxError};

/// A key signs for so long before a new one takes over.
const ROTATE_AFTER: Duration = Duration::from_hours(30 * 24);
/// A key that no longer signs verifies for so much longer: more than any token of it lives, and
/// than any persister goes without looking.
const KEEP_AFTER: Duration = Duration::from_hours(24);

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Making, reading or using a key failed.
    #[error("an access token key cannot be used: {0}")]
    Crypto(String),
    /// Publishing the public halves failed.
    #[error("the public keys cannot be published in the bucket `cluster`: {0}")]
    Publish(String),
    /// Reading or writing the table failed.
    #[error("the table signing_keys: {0}")]
    Db(#[from] DbError),
}

impl From<tokio_postgres::Error> for KeyError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(error.into())
    }
}

impl TxError for KeyError {
    fn db(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            _ => None,
        }
    }
}

/// The current key; cheap to clone, all clones see the same.
#[derive(Clone)]
pub struct Keys {
    current: Arc<RwLock<Arc<SigningKey>>>,
    lifetime: Duration,
}

/// A key that signs.
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
}

/// A signed access token.
pub struct AccessToken {
    /// The token.
    pub text: String,
    /// When it ends, Unix milliseconds.
    pub expires_at: u64,
}

impl Keys {
    /// Signs with this key, tokens that live so long.
    pub fn new(key: SigningKey, lifetime: Duration) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::new(key))),
            lifetime,
        }
    }

    /// Signs with this key from now on.
    pub fn replace(&self, key: SigningKey) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// An access token for a device.
    pub fn sign(&self, user: UserId, device: DeviceId, now_ms: u64) -> Result<AccessToken, KeyError> {
        let key = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let iat = now_ms / 1_000;
        let claims = AccessClaims {
            iss: TOKEN_ISSUER.into(),
            aud: TOKEN_AUDIENCE.into(),
            sub: user,
            did: device,
            iat,
            exp: iat + self.lifetime.as_secs(),
            jti: uuid::Uuid::new_v4().simple().to_string(),
        };
        let header = Header {
            kid: Some(key.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let text = jsonwebtoken::encode(&header, &claims, &key.key)
            .map_err(|error| KeyError::Crypto(error.to_string()))?;
        Ok(AccessToken {
            text,
            expires_at: claims.exp * 1_000,
        })
    }
}

struct Row {
    kid: String,
    private_key: Vec<u8>,
    public_key: Vec<u8>,
    created_at: i64,
}

/// Makes the first key or the next one, drops those that nothing can be signed with any more, and
/// publishes the public halves; all in the turn of one persister. The newest key signs.
///
/// Published before the commit: a token never arrives before its key. A key that was published
/// and then not committed hurts nobody.
pub async fn look_after(tx: &Tx, cluster_bucket: &kv::Store, now_ms: i64) -> Result<SigningKey, KeyError> {
    tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('natterjack.signing_keys', 0))",
        &[],
    )
    .await?;
    let mut rows = read(tx).await?;
    let rotate_ms = millis(ROTATE_AFTER);
    if rows
        .first()
        .is_none_or(|newest| newest.created_at + rotate_ms < now_ms)
    {
        let row = generate(now_ms)?;
        tx.execute(
            "insert into signing_keys (kid, private_key, public_key, created_at) values ($1, $2, $3, $4)",
            &[&row.kid, &row.private_key, &row.public_key, &row.created_at],
        )
        .await?;
        rows.insert(0, row);
    }
    let stale = stale(&rows, now_ms);
    if !stale.is_empty() {
        tx.execute("delete from signing_keys where kid = any($1)", &[&stale])
            .await?;
        rows.retain(|row| !stale.contains(&row.kid));
    }
    publish(cluster_bucket, &rows).await?;
    let newest = rows
        .first()
        .ok_or_else(|| KeyError::Crypto("there is none".into()))?;
    Ok(SigningKey {
        kid: newest.kid.clone(),
        key: EncodingKey::from_ed_der(&newest.private_key),
    })
}

/// Newest first.
async fn read(tx: &Tx) -> Result<Vec<Row>, KeyError> {
    let rows = tx
        .query(
            "select kid, private_key, public_key, created_at from signing_keys order by created_at desc, kid",
            &[],
        )
        .await?;
    let row = |row: &tokio_postgres::Row| {
        Ok(Row {
            kid: row.try_get(0)?,
            private_key: row.try_get(1)?,
            public_key: row.try_get(2)?,
            created_at: row.try_get(3)?,
        })
    };
    rows.iter().map(row).collect()
}

/// Keys whose successor has signed for longer than any of their own tokens can live.
fn stale(newest_first: &[Row], now_ms: i64) -> Vec<String> {
    newest_first
        .windows(2)
        .filter(|pair| pair[0].created_at + millis(KEEP_AFTER) < now_ms)
        .map(|pair| pair[1].kid.clone())
        .collect()
}

fn generate(now_ms: i64) -> Result<Row, KeyError> {
    let crypto = |_| KeyError::Crypto("making an Ed25519 key failed".into());
    let pair = Ed25519KeyPair::generate().map_err(crypto)?;
    let public_key = pair.public_key().as_ref().to_vec();
    Ok(Row {
        kid: URL_SAFE_NO_PAD.encode(&Sha256::digest(&public_key)[..12]),
        private_key: pair.to_pkcs8().map_err(crypto)?.as_ref().to_vec(),
        public_key,
        created_at: now_ms,
    })
}

async fn publish(bucket: &kv::Store, rows: &[Row]) -> Result<(), KeyError> {
    let set = jwks(rows).to_string();
    let failed = |error: &dyn std::fmt::Display| KeyError::Publish(error.to_string());
    let found = bucket.get(cluster::JWKS).await.map_err(|error| failed(&error))?;
    // Every edge watches the key: nothing is written unless something changed.
    if found.is_none_or(|found| found != set.as_bytes()) {
        let put = bucket.put(cluster::JWKS, set.into()).await;
        put.map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn jwks(rows: &[Row]) -> serde_json::Value {
    let keys: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
                "kid": row.kid, "x": URL_SAFE_NO_PAD.encode(&row.public_key),
            })
        })
        .collect();
    json!({ "keys": keys })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failure is the test's failure")]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};

    use super::*;

    #[test]
    fn a_token_verifies_with_the_published_key_and_no_other() {
        let now_ms = 1_800_000_000_000;
        let (row, other) = (generate(1).unwrap(), generate(2).unwrap());
        let key = SigningKey {
            kid: row.kid.clone(),
            key: EncodingKey::from_ed_der(&row.private_key),
        };
        let keys = Keys::new(key, Duration::from_mins(15));
        let (user, device) = (UserId::from_parts(1, 1), DeviceId::from_parts(2, 2));
        let token = keys.sign(user, device, now_ms).unwrap();
        assert_eq!(token.expires_at, now_ms + 900_000);

        let kid = jsonwebtoken::decode_header(&token.text).unwrap().kid.unwrap();
        let set: JwkSet = serde_json::from_value(jwks(&[other, row])).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[TOKEN_ISSUER]);
        validation.set_audience(&[TOKEN_AUDIENCE]);
        validation.validate_exp = false;
        let decode = |kid: &str| {
            let key = DecodingKey::from_jwk(set.find(kid).unwrap()).unwrap();
            jsonwebtoken::decode::<AccessClaims>(&token.text, &key, &validation)
        };
        let claims = decode(&kid).unwrap().claims;
        assert_eq!(
            (claims.sub, claims.did, claims.iat),
            (user, device, now_ms / 1_000)
        );
        let foreign = set.keys[0].common.key_id.clone().unwrap();
        assert!(decode(&foreign).is_err());
    }

    #[test]
    fn a_key_stays_until_its_successor_is_a_day_old() {
        let rows = [
            generate(100_000_000).unwrap(),
            generate(50).unwrap(),
            generate(10).unwrap(),
        ];
        assert_eq!(stale(&rows, 100_000_001), [rows[2].kid.clone()]);
        let day_later = 100_000_001 + millis(KEEP_AFTER);
        assert_eq!(
            stale(&rows, day_later),
            [rows[1].kid.clone(), rows[2].kid.clone()]
        );
        assert!(stale(&rows[..1], i64::MAX).is_empty());
    }
}
