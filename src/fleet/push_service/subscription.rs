//! A browser's subscription, with the private key that only the browser has.

use anyhow::{Context as _, ensure};
use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    encoding::{AsBigEndian as _, EcPrivateKeyBin},
    rand,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The last part of the endpoint.
    pub id: String,
    /// The push resource.
    pub endpoint: String,
    /// The browser's public key: an uncompressed point, base64url.
    pub p256dh: String,
    /// The authentication secret: 16 bytes, base64url.
    pub auth: String,
    /// The private key, base64url.
    pub(super) private_key: String,
    /// The key that it was made with: a push that is signed with another one is refused.
    pub(super) application_server_key: String,
}

impl Subscription {
    pub(super) fn new(origin: &str, application_server_key: &str) -> anyhow::Result<Self> {
        let key = BASE64_URL_SAFE_NO_PAD
            .decode(application_server_key)
            .context("the applicationServerKey is not base64url")?;
        ensure!(
            key.len() == 65 && key[0] == 4,
            "the applicationServerKey is no uncompressed point on P-256"
        );
        let private = PrivateKey::generate(&ECDH_P256)?;
        let raw: EcPrivateKeyBin<'_> = private.as_be_bytes()?;
        let (mut id, mut auth) = ([0; 24], [0; 16]);
        rand::fill(&mut id)?;
        rand::fill(&mut auth)?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(id);
        Ok(Self {
            endpoint: format!("{origin}/push/{id}"),
            id,
            p256dh: BASE64_URL_SAFE_NO_PAD.encode(private.compute_public_key()?),
            auth: BASE64_URL_SAFE_NO_PAD.encode(auth),
            private_key: BASE64_URL_SAFE_NO_PAD.encode(raw.as_ref()),
            application_server_key: application_server_key.to_owned(),
        })
    }

    /// The body of `PUT /v1/devices/{id}/push`.
    #[must_use]
    pub fn request(&self, silent: bool) -> Value {
        json!({
            "channel": "webpush",
            "endpoint": self.endpoint,
            "keys": {"p256dh": self.p256dh, "auth": self.auth},
            "silent": silent,
        })
    }
}
