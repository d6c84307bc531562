//! What `ece` needs of cryptography, by aws-lc-rs: the provider that TLS has, so that no OpenSSL comes in
//! (docs/decisions/web-push-without-openssl.md).

use std::{any::Any, sync::Once};

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    encoding::{AsBigEndian as _, EcPrivateKeyBin},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
};
use ece::{
    Cryptographer, EcKeyComponents, Error, LocalKeyPair, RemotePublicKey, Result,
    crypto::set_boxed_cryptographer,
};

/// An uncompressed point on P-256: 4, x, y (SEC 1, 2.3.3).
const POINT_BYTES: usize = 65;

/// Gives `ece` its cryptography, which it keeps in a static; whoever comes later changes nothing.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only if somebody else has given it one, who is nobody.
        let _ = set_boxed_cryptographer(Box::new(AwsLc));
    });
}

/// The provider.
pub(super) struct AwsLc;

/// The browser's key. That it lies on the curve is checked when it is used.
struct Remote(Vec<u8>);

impl RemotePublicKey for Remote {
    fn as_raw(&self) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Our key: another one for each push.
struct Local(PrivateKey);

impl LocalKeyPair for Local {
    fn pub_as_raw(&self) -> Result<Vec<u8>> {
        let public = self.0.compute_public_key().map_err(|_| Error::CryptoError)?;
        Ok(public.as_ref().to_vec())
    }

    fn raw_components(&self) -> Result<EcKeyComponents> {
        let private: EcPrivateKeyBin<'_> = self.0.as_be_bytes().map_err(|_| Error::CryptoError)?;
        Ok(EcKeyComponents::new(
            private.as_ref().to_vec(),
            self.pub_as_raw()?,
        ))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// So many bytes out of HKDF.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// One key seals one record here: RFC 8188 gives each record a nonce of its own.
fn key_and_nonce(key: &[u8], iv: &[u8]) -> Result<(LessSafeKey, Nonce)> {
    let iv: [u8; NONCE_LEN] = iv.try_into().map_err(|_| Error::CryptoError)?;
    let key = UnboundKey::new(&AES_128_GCM, key).map_err(|_| Error::CryptoError)?;
    Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(iv)))
}

impl Cryptographer for AwsLc {
    fn generate_ephemeral_keypair(&self) -> Result<Box<dyn LocalKeyPair>> {
        let key = PrivateKey::generate(&ECDH_P256).map_err(|_| Error::CryptoError)?;
        Ok(Box::new(Local(key)))
    }

    fn import_key_pair(&self, components: &EcKeyComponents) -> Result<Box<dyn LocalKeyPair>> {
        let key = PrivateKey::from_private_key(&ECDH_P256, components.private_key())
            .map_err(|_| Error::CryptoError)?;
        let local = Local(key);
        // The private half says what the public one has to be.
        if local.pub_as_raw()? != components.public_key() {
            return Err(Error::CryptoError);
        }
        Ok(Box::new(local))
    }

    fn import_public_key(&self, raw: &[u8]) -> Result<Box<dyn RemotePublicKey>> {
        if raw.len() != POINT_BYTES {
            return Err(Error::InvalidKeyLength);
        }
        Ok(Box::new(Remote(raw.to_vec())))
    }

    fn compute_ecdh_secret(&self, remote: &dyn RemotePublicKey, local: &dyn LocalKeyPair) -> Result<Vec<u8>> {
        // Both were made above: `ece` has no others.
        let local: &Local = local.as_any().downcast_ref().ok_or(Error::CryptoError)?;
        let remote = UnparsedPublicKey::new(&ECDH_P256, remote.as_raw()?);
        agree(&local.0, remote, Error::CryptoError, |secret| Ok(secret.to_vec()))
    }

    fn hkdf_sha256(&self, salt: &[u8], secret: &[u8], info: &[u8], len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len];
        Salt::new(HKDF_SHA256, salt)
            .extract(secret)
            .expand(&[info], Length(len))
            .and_then(|key| key.fill(&mut out))
            .map_err(|_| Error::CryptoError)?;
        Ok(out)
    }

    fn aes_gcm_128_encrypt(&self, key: &[u8], iv: &[u8], data: &[u8]) -> Result<Vec<u8>> {
        let (key, nonce) = key_and_nonce(key, iv)?;
        let mut sealed = data.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
            .map_err(|_| Error::CryptoError)?;
        Ok(sealed)
    }

    fn aes_gcm_128_decrypt(&self, key: &[u8], iv: &[u8], ciphertext_and_tag: &[u8]) -> Result<Vec<u8>> {
        let (key, nonce) = key_and_nonce(key, iv)?;
        let mut opened = ciphertext_and_tag.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut opened);
        Ok(plain.map_err(|_| Error::CryptoError)?.to_vec())
    }

    fn random_bytes(&self, dest: &mut [u8]) -> Result<()> {
        rand::fill(dest).map_err(|_| Error::CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }

    /// The check that `ece` has for providers: encrypts and decrypts the example of RFC 8291.
    #[test]
    fn ece_takes_it() {
        install();
        ece::crypto::test_cryptographer(AwsLc);
    }

    /// RFC 8291, appendix A: each step with its value.
    #[test]
    fn the_steps_of_rfc_8291() {
        let sender = EcKeyComponents::new(
            bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
            bytes("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"),
        );
        let receiver = EcKeyComponents::new(
            bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"),
            bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        );
        let local = AwsLc.import_key_pair(&sender).expect("a pair");
        let remote = AwsLc.import_public_key(receiver.public_key()).expect("a point");
        let secret = AwsLc.compute_ecdh_secret(&*remote, &*local).expect("a secret");
        assert_eq!(secret, bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs"));
        // It is the same from the other side.
        let local = AwsLc.import_key_pair(&receiver).expect("a pair");
        let remote = AwsLc.import_public_key(sender.public_key()).expect("a point");
        assert_eq!(
            AwsLc.compute_ecdh_secret(&*remote, &*local).expect("a secret"),
            secret
        );

        let auth = bytes("BTBZMqHH6r4Tts7J_aSIgg");
        let info = [b"WebPush: info\0", receiver.public_key(), sender.public_key()].concat();
        let ikm = AwsLc.hkdf_sha256(&auth, &secret, &info, 32).expect("derived");
        assert_eq!(ikm, bytes("S4lYMb_L0FxCeq0WhDx813KgSYqU26kOyzWUdsXYyrg"));
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw");
        let key = AwsLc.hkdf_sha256(&salt, &ikm, b"Content-Encoding: aes128gcm\0", 16);
        let key = key.expect("derived");
        assert_eq!(key, bytes("oIhVW04MRdy2XN9CiKLxTg"));
        let nonce = AwsLc.hkdf_sha256(&salt, &ikm, b"Content-Encoding: nonce\0", 12);
        let nonce = nonce.expect("derived");
        assert_eq!(nonce, bytes("4h_95klXJ5E_qnoN"));
        let sealed =
            AwsLc.aes_gcm_128_encrypt(&key, &nonce, b"When I grow up, I want to be a watermelon\x02");
        assert_eq!(
            sealed.expect("sealed"),
            bytes("8pfeW0KbunFT06SuDKoJH9Ql87S1QUrdirN6GcG7sFz1y1sqLgVi1VhjVkHsUoEsbI_0LpXMuGvnzQ")
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        install();
        let mut off_the_curve = vec![4];
        off_the_curve.extend([1; 64]);
        for key in [vec![], vec![4; 64], vec![4; 66], off_the_curve, vec![0; 65]] {
            assert!(ece::encrypt(&key, &[1; 16], b"x").is_err(), "{key:?}");
        }
    }

    #[test]
    fn what_was_changed_on_its_way_does_not_open() {
        install();
        let (pair, auth) = ece::generate_keypair_and_auth_secret().expect("a pair");
        let public = pair.pub_as_raw().expect("a point");
        let components = pair.raw_components().expect("components");
        let sealed = ece::encrypt(&public, &auth, b"hello").expect("sealed");
        assert_eq!(
            ece::decrypt(&components, &auth, &sealed).expect("opened"),
            b"hello"
        );
        for at in [0, 20, 30, 90, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ece::decrypt(&components, &auth, &changed).is_err(), "byte {at}");
        }
    }
}
