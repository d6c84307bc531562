//! Fuzz targets of access tokens and key sets: nothing that was not signed with the key passes, and
//! nothing panics, however a token or a provider's key set looks.

use std::sync::OnceLock;

use bolero::{check, generator::*};

use super::{NOW_MS, Signer, claims, token};
use crate::auth::keys::KeySet;

/// A good token, and the key set that it was signed for.
fn good() -> &'static (String, KeySet) {
    static GOOD: OnceLock<(String, KeySet)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let signer = Signer::new("k");
        (signer.sign(Some("k"), &claims()), signer.keys())
    })
}

fn one(text: &str) {
    let (good, keys) = good();
    let Ok(named) = token::peek(text) else {
        return;
    };
    let Some(key) = keys.find(named.kid.as_deref()) else {
        return;
    };
    if token::verify(text, key, "natterjack", "natterjack", NOW_MS).is_ok() {
        assert_eq!(text, good, "another text passed");
    }
}

#[test]
fn from_bytes() {
    check!().for_each(|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            one(text);
        }
    });
}

/// The good one with bytes changed, parts swapped, repeated or left out.
#[derive(Debug, Clone, TypeGenerator)]
enum Change {
    Flip { at: u16, bits: u8 },
    Cut { at: u16 },
    Part { from: u8, to: u8 },
    Insert { at: u16, text: String },
}

#[test]
fn from_a_good_one() {
    assert!(token::peek(&good().0).is_ok(), "it is good to begin with");
    let changes = produce::<Vec<Change>>().with().len(0..4_usize);
    check!().with_generator(changes).for_each(|changes| {
        let mut bytes = good().0.clone().into_bytes();
        for change in changes {
            match change {
                Change::Flip { at, bits } => {
                    let length = bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(usize::from(*at) % length) {
                        *byte ^= bits;
                    }
                }
                Change::Cut { at } => bytes.truncate(usize::from(*at) % (bytes.len() + 1)),
                Change::Part { from, to } => {
                    let mut parts: Vec<_> = bytes.split(|byte| *byte == b'.').map(<[u8]>::to_vec).collect();
                    let (from, to) = (usize::from(*from) % parts.len(), usize::from(*to) % parts.len());
                    parts[to] = parts[from].clone();
                    bytes = parts.join(&b'.');
                }
                Change::Insert { at, text } => {
                    let at = usize::from(*at) % (bytes.len() + 1);
                    bytes.splice(at..at, text.bytes());
                }
            }
        }
        if let Ok(text) = String::from_utf8(bytes) {
            one(&text);
        }
    });
}

#[test]
fn key_sets() {
    let signer = Signer::new("k");
    let jwks = String::from_utf8(signer.jwks()).expect("JSON");
    check!()
        .with_generator((produce::<u16>(), produce::<u8>(), produce::<Vec<u8>>()))
        .for_each(|(at, bits, raw)| {
            let mut bytes = jwks.clone().into_bytes();
            let length = bytes.len();
            bytes[usize::from(*at) % length] ^= bits;
            for bytes in [&bytes, raw] {
                let keys = KeySet::from_jwks(bytes);
                assert!(keys.is_err() || keys.is_ok_and(|keys| !keys.is_empty()));
                let _ = KeySet::from_pem(bytes);
                let _ = KeySet::from_secret(bytes);
            }
        });
}
