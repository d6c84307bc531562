//! The check of one token against one key: pure, with the time passed in.

use jsonwebtoken::{TokenData, Validation};
use serde::Deserialize;

use super::keys::Key;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far the issuer's clock may be off.
const LEEWAY_MS: u64 = 10_000;

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenError {
    /// It was good and has expired.
    Expired,
    /// Anything else. What exactly is nobody's business but the operator's.
    Invalid(&'static str),
}

/// What a token says about itself before anything was checked: only good for choosing the key.
pub(super) struct Unverified {
    pub kid: Option<String>,
    pub issuer: String,
}

/// The claims of a token whose signature, issuer, audience and times are in order.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub sub: String,
    /// Seconds, perhaps with a fraction (RFC 7519, NumericDate).
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Claims {
    pub fn expires_at_ms(&self) -> u64 {
        ms(self.exp)
    }

    /// When the token was made; 0 if it does not say so.
    pub fn issued_at_ms(&self) -> u64 {
        self.iat.map(ms).unwrap_or_default()
    }

    /// Another claim, if it is there and a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.rest.get(name)?.as_str()
    }
}

/// Saturates, so that no number is too odd.
fn ms(seconds: f64) -> u64 {
    (seconds * 1_000.0) as u64
}

/// Reads which key a token wants.
pub(super) fn peek(token: &str) -> Result<Unverified, TokenError> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Invalid("too long"));
    }
    // Unknown algorithms, `none` among them, do not even decode.
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid("malformed header"))?;
    if header.crit.is_some() {
        return Err(TokenError::Invalid("critical extension"));
    }
    let claims: Issuer = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| TokenError::Invalid("malformed claims"))?;
    Ok(Unverified {
        kid: header.kid,
        issuer: claims.iss,
    })
}

/// Checks signature, issuer, audience and times.
pub(super) fn verify(
    token: &str,
    key: &Key,
    issuer: &str,
    audience: &str,
    now_ms: u64,
) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(key.algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    // Times are checked below, against the clock that was passed in.
    validation.validate_exp = false;
    let TokenData { claims, .. } = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
        .map_err(|_| TokenError::Invalid("signature, issuer or audience"))?;
    if now_ms > claims.expires_at_ms().saturating_add(LEEWAY_MS) {
        return Err(TokenError::Expired);
    }
    if claims
        .nbf
        .is_some_and(|nbf| ms(nbf) > now_ms.saturating_add(LEEWAY_MS))
    {
        return Err(TokenError::Invalid("not yet valid"));
    }
    Ok(claims)
}
