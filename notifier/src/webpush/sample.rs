//! For benchmarks: the least that a push costs, and a browser that is none.

use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Notice, VapidKey, WebPushKeys},
};
use natterjack_runtime::clock::Clock;

use super::{PAYLOAD_BYTES_MAX, Signer, VapidError, crypto, decode, payload};

/// The example of RFC 8291, section 5: keys of a browser.
#[must_use]
pub fn keys() -> WebPushKeys {
    WebPushKeys {
        p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
            .into(),
        auth: "BTBZMqHH6r4Tts7J_aSIgg".into(),
    }
}

/// Encrypts and signs as a push is, and sends nothing.
pub struct Sealing {
    signer: Signer,
    notice: Notice,
}

impl Sealing {
    /// A message with this text, signed with this key.
    ///
    /// # Errors
    /// The key is damaged.
    pub fn new(key: &VapidKey, body: &str) -> Result<Self, VapidError> {
        crypto::install();
        let user = UserId::from_parts(1, 1);
        Ok(Self {
            signer: Signer::new(key, "mailto:bench@localhost", Clock::system())?,
            notice: Notice::Message {
                conversation: Conversation::dm(user, user),
                seq: 1,
                id: MessageId::generate(1),
                sent_at: 1,
                title: "bench".into(),
                body: Some(body.into()),
                badge: 1,
                mention: false,
            },
        })
    }

    /// Once more, for the browser with [`keys`]: bytes of the body and of the signature.
    ///
    /// # Errors
    /// Never with those keys.
    pub fn seal(&self) -> anyhow::Result<usize> {
        let (public, secret) = decode(&keys()).unwrap_or_default();
        let payload = payload::fit(&self.notice, PAYLOAD_BYTES_MAX)?;
        let body = ece::encrypt(&public, &secret, &payload.bytes)?;
        let authorization = self.signer.authorization("https://push.example.org")?;
        Ok(body.len() + authorization.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webpush::vapid::tests::key;

    #[test]
    fn the_sample_is_as_long_as_a_push() {
        let sealing = Sealing::new(&key(), &"x".repeat(200)).expect("a good key");
        assert!(sealing.seal().expect("the example's keys") > 500);
    }
}
