//! Web Push: a notice, encrypted for one browser (RFC 8291) and handed to the push service of its maker
//! (RFC 8030), which knows by a signature that it comes from us (RFC 8292).
//!
//! The push service learns that a device of ours is to be told something, how urgent it is, and which
//! earlier notice it replaces; not who, where, or what.

mod answer;
mod crypto;
mod payload;
pub mod sample;
#[cfg(test)]
mod tests;
mod vapid;
mod vouched;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use natterjack_nats::{
    Conversation,
    wire::{Channel, Notice, PushRegistration, PushTarget, VapidKey, WebPushKeys},
};
use natterjack_runtime::{
    clock::Clock,
    outbound::{Outbound, retry_after, text_of},
};
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::push::{Outcome, Push, PushService, Scope};
use answer::Answer;
use payload::PAYLOAD_BYTES_MAX;
use vapid::Signer;
pub use vapid::VapidError;
use vouched::Vouched;

/// Bytes of an answer's body that are read.
const ANSWER_BYTES_MAX: usize = 4_096;
/// For one push with all its attempts to send less; each request has a limit of its own.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of the hash in a topic: 32 characters, as many as RFC 8030 allows.
const TOPIC_BYTES: usize = 24;

/// Web Push, as the sender uses it.
pub struct WebPush {
    outbound: Outbound,
    signer: Signer,
    vouched: Vouched,
    clock: Clock,
}

impl std::fmt::Debug for WebPush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebPush").finish_non_exhaustive()
    }
}

impl WebPush {
    /// Pushes with this key; `contact` is whom push services may write to.
    ///
    /// # Errors
    /// The key is damaged.
    pub fn new(key: &VapidKey, contact: &str, outbound: Outbound, clock: Clock) -> Result<Self, VapidError> {
        crypto::install();
        Ok(Self {
            outbound,
            signer: Signer::new(key, contact, clock.clone())?,
            vouched: Vouched::default(),
            clock,
        })
    }

    /// Sends, and sends less while it is too much.
    async fn send(&self, push: Push<'_>, endpoint: &str, keys: &WebPushKeys) -> Outcome {
        let Some((public, secret)) = decode(keys) else {
            return refused("its keys are not base64url; the device has to register anew");
        };
        let origin = origin_of(endpoint);
        let mut room = PAYLOAD_BYTES_MAX;
        loop {
            let payload = match payload::fit(push.notice, room) {
                Ok(payload) => payload,
                Err(error) => return refused(error.to_string()),
            };
            let body = match ece::encrypt(&public, &secret, &payload.bytes) {
                Ok(body) => body,
                // The registration's keys: a point that is none, a secret of another length.
                Err(error) => return refused(format!("cannot encrypt for its keys: {error}")),
            };
            let answer = match self.post(push, endpoint, &origin, body).await {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
            if answer.status == StatusCode::PAYLOAD_TOO_LARGE && payload.has_body {
                room = payload.bytes.len() / 2;
                continue;
            }
            let now_ms = self.clock.now_ms();
            let vouched = match answer.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.vouched.refused(&origin, now_ms),
                _ => false,
            };
            let outcome = answer.outcome(&origin, vouched);
            if matches!(outcome, Outcome::Accepted { .. }) {
                self.vouched.taken(&origin, now_ms);
            }
            return outcome;
        }
    }

    /// One request; the error is what it comes to.
    async fn post(
        &self,
        push: Push<'_>,
        endpoint: &str,
        origin: &str,
        body: Vec<u8>,
    ) -> Result<Answer, Outcome> {
        let request = self
            .outbound
            .request(Method::POST, endpoint)
            .map_err(|error| refused(error.to_string()))?;
        let authorization = self
            .signer
            .authorization(origin)
            .map_err(|error| Outcome::Misconfigured {
                detail: error.to_string(),
            })?;
        let sent = request
            .header("TTL", push.ttl.as_secs())
            .header("Urgency", urgency(push.notice))
            .header("Topic", topic(endpoint, push.notice.conversation()))
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(AUTHORIZATION, authorization)
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) => Ok(Answer {
                status: response.status(),
                retry_after: retry_after(response.headers(), self.clock.now_ms()),
                text: text_of(response, ANSWER_BYTES_MAX).await,
            }),
            Err(error) => match Outbound::forbidden(&error) {
                // A name was checked when the device registered: what it leads to now may be a resolver's fault.
                Some(forbidden) => Err(Outcome::Later {
                    after: None,
                    scope: Scope::Origin,
                    detail: forbidden.to_string(),
                }),
                None => Err(Outcome::Later {
                    after: None,
                    scope: Scope::Origin,
                    detail: format!("{origin} cannot be reached: {}", reason(error)),
                }),
            },
        }
    }
}

impl PushService for WebPush {
    fn channel(&self) -> Channel {
        Channel::WebPush
    }

    fn origin(&self, registration: &PushRegistration) -> String {
        match &registration.request.target {
            PushTarget::WebPush { endpoint, .. } => origin_of(endpoint),
            PushTarget::Fcm { .. } => String::new(),
        }
    }

    async fn push(&self, push: Push<'_>) -> Outcome {
        let PushTarget::WebPush { endpoint, keys } = &push.registration.request.target else {
            return refused("it is not registered for Web Push");
        };
        let sent = tokio::time::timeout(TIMEOUT, self.send(push, endpoint, keys));
        sent.await.unwrap_or_else(|_| Outcome::Later {
            after: None,
            scope: Scope::Origin,
            detail: format!("no answer within {} s", TIMEOUT.as_secs()),
        })
    }
}

fn refused(detail: impl Into<String>) -> Outcome {
    Outcome::Refused {
        detail: detail.into(),
    }
}

fn decode(keys: &WebPushKeys) -> Option<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| {
        // Some clients pad.
        BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
    };
    Some((decode(&keys.p256dh)?, decode(&keys.auth)?))
}

/// `https://push.example.org:8443`; empty for what is no URL.
fn origin_of(endpoint: &str) -> String {
    Url::parse(endpoint).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

/// RFC 8030, section 5.3: whether a device whose battery is low is woken.
fn urgency(notice: &Notice) -> &'static str {
    match notice {
        Notice::Message { mention: true, .. }
        | Notice::Message {
            conversation: Conversation::Dm(_),
            ..
        } => "high",
        Notice::Message { .. } => "normal",
        Notice::Withdraw { .. } => "low",
    }
}

/// RFC 8030, section 5.4: a notice replaces one of the same topic that waits for the same device. It is a
/// hash with the endpoint, so that push services cannot tell which devices are in one conversation.
fn topic(endpoint: &str, conversation: &Conversation) -> String {
    let hash = digest(&SHA256, format!("{endpoint} {conversation}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..TOPIC_BYTES])
}

/// What went wrong, without the URL: it is all that anybody needs to push to the device.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    words
}
