//! One subscription of the Push API, with the browser's half of the keys: what a push to it says.
//!
//! After RFC 8291 (the keys) and RFC 8188 (the record), over plain primitives: not by the library that
//! encrypts, so that both cannot be wrong alike.

use anyhow::{Context, ensure};
use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    error::Unspecified,
    hmac, rand,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use natterjack_nats::wire::WebPushKeys;

const SALT: usize = 16;
/// An uncompressed point on P-256.
const POINT: usize = 65;
/// Salt, record size, and the length of the key id.
const HEADER: usize = SALT + 4 + 1;
const KEY: usize = 16;
/// What closes the last record.
const LAST: u8 = 2;

/// A subscription.
pub(super) struct Subscription {
    private: PrivateKey,
    public: Vec<u8>,
    auth: [u8; SALT],
}

impl Subscription {
    pub(super) fn new() -> anyhow::Result<Self> {
        let private = PrivateKey::generate(&ECDH_P256)?;
        let public = private.compute_public_key()?.as_ref().to_vec();
        let mut auth = [0; SALT];
        rand::fill(&mut auth)?;
        Ok(Self {
            private,
            public,
            auth,
        })
    }

    /// As a browser gives them to its application.
    pub(super) fn keys(&self) -> WebPushKeys {
        WebPushKeys {
            p256dh: BASE64_URL_SAFE_NO_PAD.encode(&self.public),
            auth: BASE64_URL_SAFE_NO_PAD.encode(self.auth),
        }
    }

    /// What the body of a push says.
    pub(super) fn open(&self, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (header, rest) = body.split_at_checked(HEADER).context("no header")?;
        let (salt, sizes) = header.split_at(SALT);
        ensure!(usize::from(sizes[4]) == POINT, "a key id of {} bytes", sizes[4]);
        let record_bytes = u32::from_be_bytes([sizes[0], sizes[1], sizes[2], sizes[3]]);
        let (sender, record) = rest.split_at_checked(POINT).context("no key")?;
        ensure!(record.len() <= record_bytes as usize, "more than one record");

        let sender_key = UnparsedPublicKey::new(&ECDH_P256, sender);
        let shared = agree(&self.private, sender_key, Unspecified, |shared| {
            Ok::<_, Unspecified>(shared.to_vec())
        })
        .context("the sender's key is none")?;
        let info = [b"WebPush: info\0", self.public.as_slice(), sender].concat();
        let input = expand(&extract(&self.auth, &shared), &info);
        let pseudo_random = extract(salt, &input);
        let key = expand(&pseudo_random, b"Content-Encoding: aes128gcm\0");
        let nonce = expand(&pseudo_random, b"Content-Encoding: nonce\0");

        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..KEY])?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce[..NONCE_LEN])?;
        let mut record = record.to_vec();
        let open = key.open_in_place(nonce, Aad::empty(), &mut record);
        let open = open.map_err(|_| anyhow::anyhow!("it does not decrypt"))?;
        let end = open.iter().rposition(|byte| *byte != 0).context("no delimiter")?;
        ensure!(open[end] == LAST, "the delimiter {}", open[end]);
        Ok(open[..end].to_vec())
    }
}

/// HKDF (RFC 5869), its first step.
fn extract(salt: &[u8], input: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    hmac::sign(&key, input).as_ref().to_vec()
}

/// Its second step, for up to 32 bytes.
fn expand(pseudo_random: &[u8], info: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, pseudo_random);
    hmac::sign(&key, &[info, &[1]].concat()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291, appendix A.
    #[test]
    fn the_example_of_the_rfc_opens() {
        let decode = |text| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let private = decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
        let public =
            decode("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let subscription = Subscription {
            private: PrivateKey::from_private_key(&ECDH_P256, &private).expect("a key"),
            public,
            auth: decode("BTBZMqHH6r4Tts7J_aSIgg").try_into().expect("16 bytes"),
        };
        let computed = subscription.private.compute_public_key().expect("a key");
        assert_eq!(computed.as_ref(), subscription.public);
        let body = decode(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
        );
        let said = subscription.open(&body).expect("it opens");
        assert_eq!(said, b"When I grow up, I want to be a watermelon");
        let mut other = body.clone();
        other[100] ^= 1;
        assert!(subscription.open(&other).is_err());
        assert!(subscription.open(&body[..50]).is_err());
    }
}
