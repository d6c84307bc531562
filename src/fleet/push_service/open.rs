//! Opening a push as RFC 8291 says, in a few lines: for tests under load, where another program would be
//! too slow.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Subscription;

/// So many bytes out of HKDF.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut out = [0; N];
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(N))?
        .fill(&mut out)?;
    Ok(out)
}

/// The plain text of a body of one record that has passed the checks.
pub(super) fn open(body: &[u8], subscription: &Subscription) -> Result<Vec<u8>, String> {
    let decode = |text: &str| {
        BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| error.to_string())
    };
    let (private, public) = (decode(&subscription.private_key)?, decode(&subscription.p256dh)?);
    let auth = decode(&subscription.auth)?;
    let (salt, sender) = (&body[..16], &body[21..86]);
    let unseal = || {
        let private = PrivateKey::from_private_key(&ECDH_P256, &private).map_err(|_| Unspecified)?;
        let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
        let info: [&[u8]; 3] = [b"WebPush: info\0", &public, sender];
        let ikm: [u8; 32] = agree(&private, peer, Unspecified, |secret| derive(&auth, secret, &info))?;
        let key: [u8; 16] = derive(salt, &ikm, &[b"Content-Encoding: aes128gcm\0"])?;
        let nonce: [u8; 12] = derive(salt, &ikm, &[b"Content-Encoding: nonce\0"])?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
        let mut record = body[86..].to_vec();
        let plain = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;
        Ok(plain.to_vec())
    };
    let mut plain =
        unseal().map_err(|_: Unspecified| "it does not open with the browser's key".to_owned())?;
    // The last record ends in a 2, and then zeros fill it up.
    while plain.last() == Some(&0) {
        plain.pop();
    }
    match plain.pop() {
        Some(2) => Ok(plain),
        _ => Err("the record does not end in a delimiter".to_owned()),
    }
}
