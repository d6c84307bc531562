//! What a forger may try, and what an honest client may hold.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use natterjack_nats::{DeviceId, UserId};
use natterjack_runtime::clock::Clock;
use serde_json::{Value, json};

use super::{
    Identity,
    keys::KeySet,
    own,
    revocations::Revocations,
    token::{self, TokenError},
};

#[path = "../../fuzz/tokens.rs"]
mod fuzz;

const NOW_MS: u64 = 1_800_000_000_000;

struct Signer {
    kid: &'static str,
    pair: Ed25519KeyPair,
    secret: EncodingKey,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).expect("randomness");
        Self {
            kid,
            pair: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("just made"),
            secret: EncodingKey::from_ed_der(pkcs8.as_ref()),
        }
    }

    fn jwks(&self) -> Vec<u8> {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}]})
            .to_string()
            .into_bytes()
    }

    fn keys(&self) -> KeySet {
        KeySet::from_jwks(&self.jwks()).expect("a good set")
    }

    fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = kid.map(Into::into);
        encode(&header, claims, &self.secret).expect("signs")
    }
}

fn user() -> UserId {
    UserId::from_parts(1, 2)
}

fn device() -> DeviceId {
    DeviceId::from_parts(3, 4)
}

fn claims() -> Value {
    json!({
        "iss": "natterjack", "aud": "natterjack", "sub": user(), "did": device(), "jti": "x",
        "iat": NOW_MS / 1_000, "exp": NOW_MS / 1_000 + 900,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// The whole way of one of our own tokens, without the reading of keys.
fn check(token: &str, keys: &KeySet, now_ms: u64) -> Result<Identity, TokenError> {
    let named = token::peek(token)?;
    let kid = named.kid.ok_or(TokenError::Invalid("no key id"))?;
    own::identify(token, keys, &kid, now_ms)
}

fn is_invalid(result: &Result<Identity, TokenError>) -> bool {
    matches!(result, Err(TokenError::Invalid(_)))
}

#[test]
fn a_good_token_names_user_and_device_until_it_expires() {
    let signer = Signer::new("k1");
    let keys = signer.keys();
    let token = signer.sign(Some("k1"), &claims());
    let expected = Identity {
        user: user(),
        device: device(),
        expires_at_ms: NOW_MS + 900_000,
        issued_at_ms: NOW_MS,
    };
    assert_eq!(check(&token, &keys, NOW_MS), Ok(expected));
    assert_eq!(
        check(&token, &keys, NOW_MS + 905_000),
        Ok(expected),
        "clocks differ a little"
    );
    assert_eq!(check(&token, &keys, NOW_MS + 911_000), Err(TokenError::Expired));
}

#[test]
fn claims_that_are_not_for_us_are_refused() {
    let signer = Signer::new("k1");
    let keys = signer.keys();
    let bad = [
        with("aud", json!("elsewhere")),
        with("aud", json!([])),
        with("iss", json!("elsewhere")),
        with("iss", json!(["natterjack", "elsewhere"])),
        with("nbf", json!(NOW_MS / 1_000 + 600)),
        with("sub", json!("not an id")),
        with("sub", json!(7)),
        with("did", json!("../../x")),
        with("exp", json!("tomorrow")),
        without("aud"),
        without("iss"),
        without("sub"),
        without("did"),
        without("exp"),
    ];
    for claims in bad {
        let token = signer.sign(Some("k1"), &claims);
        assert!(is_invalid(&check(&token, &keys, NOW_MS)), "{claims}");
    }
    let early = signer.sign(Some("k1"), &with("exp", json!(0)));
    assert_eq!(check(&early, &keys, NOW_MS), Err(TokenError::Expired));
    for odd in [json!(1e300), json!(-5), json!(null)] {
        let token = signer.sign(Some("k1"), &with("exp", odd.clone()));
        assert!(check(&token, &keys, NOW_MS).is_err(), "{odd}");
    }
}

#[test]
fn keys_that_are_not_ours_are_refused() {
    let (ours, theirs) = (Signer::new("k1"), Signer::new("k1"));
    let keys = ours.keys();
    let forged = theirs.sign(Some("k1"), &claims());
    assert!(is_invalid(&check(&forged, &keys, NOW_MS)), "another key");
    let expired = theirs.sign(Some("k1"), &with("exp", json!(1)));
    assert!(
        is_invalid(&check(&expired, &keys, NOW_MS)),
        "no oracle for expiry"
    );
    let unknown = ours.sign(Some("k2"), &claims());
    assert!(is_invalid(&check(&unknown, &keys, NOW_MS)), "unknown key id");
    let nameless = ours.sign(None, &claims());
    assert!(is_invalid(&check(&nameless, &keys, NOW_MS)), "no key id");
}

#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let signer = Signer::new("k1");
    let keys = signer.keys();
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&claims());

    for alg in ["none", "None", "NONE", ""] {
        let header = part(&json!({"alg": alg, "typ": "JWT", "kid": "k1"}));
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{body}.{signature}");
            assert!(is_invalid(&check(&token, &keys, NOW_MS)), "{alg:?}");
        }
    }

    // The public key is no secret: as an HMAC secret it must not verify anything.
    let public = signer.pair.public_key().as_ref();
    let jwks = signer.jwks();
    for secret in [public, BASE64_URL_SAFE_NO_PAD.encode(public).as_bytes(), &jwks] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("k1".into());
        let token = encode(&header, &claims(), &EncodingKey::from_secret(secret)).expect("signs");
        assert!(is_invalid(&check(&token, &keys, NOW_MS)));
    }
}

#[test]
fn a_critical_extension_is_not_ignored() {
    let signer = Signer::new("k1");
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".into());
    header.crit = Some(vec!["b64".into()]);
    let token = encode(&header, &claims(), &signer.secret).expect("signs");
    assert!(is_invalid(&check(&token, &signer.keys(), NOW_MS)));
}

#[test]
fn whatever_is_no_token_is_refused_without_panic() {
    let signer = Signer::new("k1");
    let keys = signer.keys();
    let token = signer.sign(Some("k1"), &claims());
    for end in 0..token.len() {
        assert!(is_invalid(&check(&token[..end], &keys, NOW_MS)), "cut at {end}");
    }
    let tampered = token.replacen('.', ".A", 1);
    let long = format!("{token}{}", "A".repeat(100_000));
    for garbage in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "🦎.🦎.🦎",
        "e30.e30.e30",
        &tampered,
        &long,
    ] {
        assert!(is_invalid(&check(garbage, &keys, NOW_MS)));
    }
}

#[test]
fn a_configured_secret_takes_hmac_and_nothing_else() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let keys = KeySet::from_secret(b"0123456789abcdef0123456789abcdef\n").expect("long enough");
    let key = keys.find(None).expect("the only one");
    let check = |token: &str| token::verify(token, key, "natterjack", "natterjack", NOW_MS);
    let good = encode(
        &Header::new(Algorithm::HS256),
        &claims(),
        &EncodingKey::from_secret(secret),
    );
    assert!(check(&good.expect("signs")).is_ok());
    assert!(check(&Signer::new("k1").sign(None, &claims())).is_err());
}

#[test]
fn a_good_token_of_a_revoked_device_is_covered() {
    let signer = Signer::new("k1");
    let token = signer.sign(Some("k1"), &claims());
    let identity = check(&token, &signer.keys(), NOW_MS).expect("good");
    let (clock, _) = Clock::manual(NOW_MS);
    let revocations = Revocations::new(clock);
    revocations.add(user(), DeviceId::from_parts(8, 8), NOW_MS + 60_000);
    assert!(!revocations.covers(&identity), "another device");
    revocations.add(user(), device(), NOW_MS + 60_000);
    assert!(revocations.covers(&identity));
}
