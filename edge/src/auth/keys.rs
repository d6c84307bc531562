//! Verification keys, each pinned to one algorithm: what a token's header says about the algorithm
//! is only ever compared with the key's own, so that neither `none` nor a public key used as an
//! HMAC secret can pass.

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;

/// Largest JWK set that is read.
pub(super) const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Most keys that are taken from a set.
const KEYS_MAX: usize = 100;

/// Shortest HMAC secret (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    #[error("not a JWK set (RFC 7517): {0}")]
    NotASet(serde_json::Error),
    #[error("the JWK set holds no usable public signing key (Ed25519, P-256, P-384 or RSA)")]
    NoneUsable,
    #[error("not a PEM file with an Ed25519, P-256 or RSA public key")]
    NotPem,
    #[error("the secret has fewer than {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
}

/// A key and the one algorithm that it verifies.
pub(super) struct Key {
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
}

/// The keys of one issuer.
#[derive(Default)]
pub(super) struct KeySet {
    by_kid: HashMap<String, Key>,
    /// The only key there is, when a token need not name it.
    only: Option<Key>,
}

impl KeySet {
    /// The usable keys of a JWK set; keys of other kinds in it are left out, because a provider's
    /// set may hold encryption keys and kinds that are not known yet.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeysError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(KeysError::NotASet)?;
        let mut nameless = Vec::new();
        let mut by_kid = HashMap::new();
        for value in set.keys.into_iter().take(KEYS_MAX) {
            let Ok(jwk) = serde_json::from_value::<Jwk>(value) else {
                continue;
            };
            let Some(key) = public_key(&jwk) else { continue };
            match jwk.common.key_id {
                Some(kid) => drop(by_kid.insert(kid, key)),
                None => nameless.push(key),
            }
        }
        let only = if by_kid.is_empty() && nameless.len() == 1 {
            nameless.pop()
        } else {
            None
        };
        if by_kid.is_empty() && only.is_none() {
            return Err(KeysError::NoneUsable);
        }
        Ok(Self { by_kid, only })
    }

    /// The one public key of a PEM file.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeysError> {
        let key = |algorithm, decoding| Key { algorithm, decoding };
        DecodingKey::from_ed_pem(pem)
            .map(|decoding| key(Algorithm::EdDSA, decoding))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|decoding| key(Algorithm::ES256, decoding)))
            .or_else(|_| DecodingKey::from_rsa_pem(pem).map(|decoding| key(Algorithm::RS256, decoding)))
            .map(Self::single)
            .map_err(|_| KeysError::NotPem)
    }

    /// The one secret of a file; a line break at its end does not count.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeysError> {
        let secret = secret.trim_ascii_end();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeysError::ShortSecret);
        }
        Ok(Self::single(Key {
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret),
        }))
    }

    /// The key for a token that names `kid`, or none.
    pub fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, &self.only) {
            (_, Some(only)) => Some(only),
            (Some(kid), None) => self.by_kid.get(kid),
            (None, None) => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_kid.is_empty() && self.only.is_none()
    }

    fn single(key: Key) -> Self {
        Self {
            by_kid: HashMap::new(),
            only: Some(key),
        }
    }
}

/// The key of a JWK, if it is a public signing key of a kind that we verify.
fn public_key(jwk: &Jwk) -> Option<Key> {
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let algorithm = algorithm(jwk)?;
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    signs.then_some(Key { algorithm, decoding })
}

fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    use KeyAlgorithm as Named;
    let named = jwk.common.key_algorithm;
    match (&jwk.algorithm, named) {
        (AlgorithmParameters::OctetKeyPair(pair), None | Some(Named::EdDSA)) => {
            (pair.curve == EllipticCurve::Ed25519).then_some(Algorithm::EdDSA)
        }
        (AlgorithmParameters::EllipticCurve(ec), named) => match (&ec.curve, named) {
            (EllipticCurve::P256, None | Some(Named::ES256)) => Some(Algorithm::ES256),
            (EllipticCurve::P384, None | Some(Named::ES384)) => Some(Algorithm::ES384),
            _ => None,
        },
        (AlgorithmParameters::RSA(_), named) => match named {
            None | Some(Named::RS256) => Some(Algorithm::RS256),
            Some(Named::RS384) => Some(Algorithm::RS384),
            Some(Named::RS512) => Some(Algorithm::RS512),
            Some(Named::PS256) => Some(Algorithm::PS256),
            Some(Named::PS384) => Some(Algorithm::PS384),
            Some(Named::PS512) => Some(Algorithm::PS512),
            _ => None,
        },
        // A symmetric key in a published set would let every reader of it sign.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_signing_keys_are_taken() {
        let set = br#"{"keys":[
            {"kty":"oct","kid":"secret","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
            {"kty":"OKP","crv":"Ed25519","kid":"enc","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty":"OKP","crv":"Ed25519","kid":"liar","alg":"HS256","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty":"from the future","kid":"new"},
            {"kty":"OKP","crv":"Ed25519","kid":"good","use":"sig","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        ]}"#;
        let set = KeySet::from_jwks(set).expect("one is usable");
        assert_eq!(
            set.find(Some("good")).map(|key| key.algorithm),
            Some(Algorithm::EdDSA)
        );
        for kid in [Some("secret"), Some("enc"), Some("liar"), Some("new"), None] {
            assert!(set.find(kid).is_none(), "{kid:?}");
        }
    }

    #[test]
    fn what_holds_no_key_is_refused() {
        assert!(matches!(
            KeySet::from_jwks(b"{\"keys\":[]}"),
            Err(KeysError::NoneUsable)
        ));
        assert!(matches!(KeySet::from_jwks(b"<html>"), Err(KeysError::NotASet(_))));
        assert!(matches!(KeySet::from_pem(b"no pem"), Err(KeysError::NotPem)));
        assert!(matches!(
            KeySet::from_secret(b"short\n"),
            Err(KeysError::ShortSecret)
        ));
    }
}
