//! Who we are to a push service (VAPID, RFC 8292): a token signed with the key that browsers subscribe
//! with. One serves for all pushes to an origin for hours: signing takes as long as encrypting.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use natterjack_nats::wire::VapidKey;
use natterjack_runtime::clock::Clock;
use reqwest::header::HeaderValue;
use serde::Serialize;

/// How long a token holds: RFC 8292 allows 24 hours by the push service's clock, and ours may differ.
const LIFETIME: Duration = Duration::from_hours(12);
/// What a token has to have left to be used: a push service's clock may be ahead of ours.
const LEFT_MIN: Duration = Duration::from_hours(6);
/// Tokens that are kept: users choose the origins, though most have one of a few.
const ORIGINS_MAX: usize = 1_024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum VapidError {
    /// The private half is not one.
    #[error("the private key of Web Push in the bucket push_keys is damaged: {0}; put it back from a backup")]
    Key(String),
    /// It could not be signed.
    #[error("cannot sign for a push service: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Signs, and keeps what it has signed.
pub(super) struct Signer {
    key: EncodingKey,
    /// As the header has it.
    public_key: String,
    contact: String,
    clock: Clock,
    tokens: Mutex<HashMap<String, Token>>,
}

struct Token {
    header: HeaderValue,
    expires_at_ms: u64,
}

/// RFC 8292, section 2.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    /// Unix seconds.
    exp: u64,
    sub: &'a str,
}

impl Signer {
    /// `contact` is whom a push service may write to: `mailto:…` or `https://…`.
    pub(super) fn new(key: &VapidKey, contact: &str, clock: Clock) -> Result<Self, VapidError> {
        let private = BASE64_URL_SAFE_NO_PAD
            .decode(&key.private_key)
            .map_err(|error| VapidError::Key(error.to_string()))?;
        let signer = Self {
            key: EncodingKey::from_ec_der(&private),
            public_key: key.public_key.clone(),
            contact: contact.to_owned(),
            clock,
            tokens: Mutex::default(),
        };
        // Now rather than at the first push.
        signer
            .sign("https://localhost", 0)
            .map_err(|error| VapidError::Key(error.to_string()))?;
        Ok(signer)
    }

    /// The value of `Authorization` for an origin, such as `https://push.example:8443`: with the port, if
    /// it is not the scheme's own.
    pub(super) fn authorization(&self, origin: &str) -> Result<HeaderValue, VapidError> {
        let now_ms = self.clock.now_ms();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(origin)
            && token.expires_at_ms >= now_ms.saturating_add(millis(LEFT_MIN))
            // Signed by a clock that was set back since.
            && token.expires_at_ms <= now_ms.saturating_add(millis(LIFETIME))
        {
            return Ok(token.header.clone());
        }
        let expires_at_ms = now_ms.saturating_add(millis(LIFETIME));
        let header = self.sign(origin, expires_at_ms / 1_000)?;
        if tokens.len() >= ORIGINS_MAX && !tokens.contains_key(origin) {
            // Whoever fills it with origins of his own makes us sign more often, and nothing else.
            let soonest = tokens.iter().min_by_key(|(_, token)| token.expires_at_ms);
            if let Some(soonest) = soonest.map(|(origin, _)| origin.clone()) {
                tokens.remove(&soonest);
            }
        }
        let token = Token {
            header: header.clone(),
            expires_at_ms,
        };
        tokens.insert(origin.to_owned(), token);
        Ok(header)
    }

    fn sign(&self, origin: &str, exp: u64) -> Result<HeaderValue, VapidError> {
        let claims = Claims {
            aud: origin,
            exp,
            sub: &self.contact,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)?;
        let value = format!("vapid t={token}, k={}", self.public_key);
        let mut value = HeaderValue::from_str(&value).map_err(|error| VapidError::Key(error.to_string()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    };
    use serde_json::Value;

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    /// As provisioning makes one.
    pub(in crate::webpush) fn key() -> VapidKey {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("randomness");
        VapidKey {
            private_key: BASE64_URL_SAFE_NO_PAD.encode(pair.to_pkcs8v1().expect("a document")),
            public_key: BASE64_URL_SAFE_NO_PAD.encode(pair.public_key()),
            created_at: 0,
        }
    }

    /// The claims of a header whose signature holds.
    fn claims(header: &HeaderValue, key: &VapidKey) -> Value {
        let text = header.to_str().expect("text").strip_prefix("vapid t=");
        let (token, k) = text.and_then(|rest| rest.split_once(", k=")).expect("the form");
        assert_eq!(k, key.public_key);
        let (signed, signature) = token.rsplit_once('.').expect("a token");
        let public = BASE64_URL_SAFE_NO_PAD.decode(k).expect("base64url");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(signed.as_bytes(), &signature)
            .expect("signed");
        let (head, claims) = signed.split_once('.').expect("two parts");
        let json = |part| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice::<Value>(&bytes).expect("JSON")
        };
        assert_eq!(json(head)["alg"], "ES256");
        json(claims)
    }

    fn signer(key: &VapidKey) -> (Signer, natterjack_runtime::clock::ManualClock) {
        let (clock, hand) = Clock::manual(NOW_MS);
        let signer = Signer::new(key, "mailto:ops@example.org", clock).expect("a signer");
        (signer, hand)
    }

    #[test]
    fn a_token_says_for_whom_until_when_and_from_whom() {
        let key = key();
        let (signer, _) = signer(&key);
        let header = signer
            .authorization("https://push.example.org:8443")
            .expect("signed");
        let claims = claims(&header, &key);
        assert_eq!(claims["aud"], "https://push.example.org:8443");
        assert_eq!(claims["sub"], "mailto:ops@example.org");
        assert_eq!(claims["exp"], NOW_MS / 1_000 + 12 * 3_600);
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_token_serves_for_hours_and_is_renewed_long_before_its_end() {
        let key = key();
        let (signer, hand) = signer(&key);
        let header = |origin| signer.authorization(origin).expect("signed");
        let first = header("https://a.example.org");
        assert_ne!(first, header("https://b.example.org"));
        hand.advance(Duration::from_hours(6));
        assert_eq!(header("https://a.example.org"), first);
        hand.advance(Duration::from_millis(1));
        let second = header("https://a.example.org");
        assert_ne!(second, first);
        // A clock that is set back would make it hold for longer than is allowed.
        hand.set(NOW_MS - 1);
        let third = header("https://a.example.org");
        assert_eq!(claims(&third, &key)["exp"], (NOW_MS - 1) / 1_000 + 12 * 3_600);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (signer, hand) = signer(&key());
        let first = signer.authorization("https://first.example.org").expect("signed");
        hand.advance(Duration::from_secs(1));
        for number in 0..ORIGINS_MAX {
            let origin = format!("https://{number}.example.org");
            signer.authorization(&origin).expect("signed");
        }
        assert_eq!(signer.tokens.lock().expect("not poisoned").len(), ORIGINS_MAX);
        // The oldest made room.
        let again = signer.authorization("https://first.example.org").expect("signed");
        assert_ne!(again, first);
    }

    #[test]
    fn a_damaged_key_is_found_at_once() {
        let mut key = key();
        key.private_key.truncate(40);
        let refused = Signer::new(&key, "mailto:ops@example.org", Clock::system());
        assert!(matches!(refused, Err(VapidError::Key(_))));
    }
}
