//! Fuzz target of refresh tokens: whatever parses is spelt as we spell it, and tells nothing in logs.

use bolero::{check, generator::*};
use natterjack_nats::{DeviceId, UserId};

use super::RefreshToken;

fn one(text: &str) {
    if let Ok(token) = text.parse::<RefreshToken>() {
        assert_eq!(token.to_string(), text);
        let secret = text.rsplit('.').next().expect("three parts");
        assert!(!format!("{token:?}").contains(secret));
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

#[test]
fn from_a_good_one() {
    let good = RefreshToken::generate(UserId::from_parts(1, 2), DeviceId::from_parts(3, 4)).to_string();
    check!()
        .with_generator((produce::<[(u8, u8); 2]>(), produce::<Option<u8>>()))
        .for_each(|(flips, cut)| {
            let mut bytes = good.clone().into_bytes();
            for (at, bits) in flips {
                let length = bytes.len();
                bytes[usize::from(*at) % length] ^= bits;
            }
            if let Some(cut) = cut {
                bytes.truncate(usize::from(*cut));
            }
            if let Ok(text) = String::from_utf8(bytes) {
                one(&text);
            }
        });
}
