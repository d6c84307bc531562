//! Firebase Cloud Messaging, HTTP v1: a thin client of our own
//! (docs/decisions/fcm-by-a-client-of-our-own.md). A service account signs an assertion, gets a token for it
//! and sends one request a push; iOS is reached through it as well.

mod answer;
mod credentials;
mod message;
mod token;

use std::sync::Arc;

use anyhow::Context as _;
use natterjack_nats::wire::{Channel, FcmOs, PushRegistration, PushTarget};
use natterjack_runtime::{
    clock::Clock,
    outbound::{self, Outbound, Reach},
};
use reqwest::{Method, header};

use crate::{
    Args,
    push::{Outcome, Push, PushService, Scope},
    send::Seldom,
};
use answer::Answer;
use credentials::Credentials;
use message::Parts;
use token::{NoToken, Tokens};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// A text shorter than this is left out when FCM finds a push too big.
const BODY_MIN: usize = 32;

/// The client of one project.
pub struct Fcm {
    outbound: Outbound,
    clock: Clock,
    tokens: Tokens,
    /// Where messages go.
    url: String,
    alarm: Seldom,
}

impl Fcm {
    /// With the credentials that the options name; `None` if they name none.
    ///
    /// # Errors
    /// The credentials cannot be used.
    pub fn open(args: &Args, clock: Clock) -> anyhow::Result<Option<Self>> {
        let Some(path) = &args.fcm_credentials else {
            return Ok(None);
        };
        let credentials = Credentials::read(path)?;
        // Both addresses are the operator's own: they may lead to a proxy of his.
        let outbound = Outbound::new(Reach::Anywhere).context("an HTTP client for FCM")?;
        let base = args.fcm_url.trim_end_matches('/');
        let url = format!("{base}/v1/projects/{}/messages:send", credentials.project);
        Ok(Some(Self {
            tokens: Tokens::new(outbound.clone(), credentials, clock.clone()),
            outbound,
            clock,
            url,
            alarm: Seldom::default(),
        }))
    }

    /// The Firebase project.
    #[must_use]
    pub fn project(&self) -> &str {
        self.tokens.project()
    }

    async fn token(&self) -> Result<Arc<str>, Outcome> {
        self.tokens.token().await.map_err(|none| match none {
            NoToken::Later { after, detail } => Outcome::Later {
                after,
                scope: Scope::Origin,
                detail,
            },
            NoToken::Misconfigured { detail } => Outcome::Misconfigured { detail },
        })
    }

    /// One request.
    async fn post(&self, token: &str, body: Vec<u8>) -> Answer {
        let request = match self.outbound.request(Method::POST, &self.url) {
            Ok(request) => request,
            Err(error) => {
                let detail = format!("--fcm-url: {error}");
                return Answer::Is(Outcome::Misconfigured { detail });
            }
        };
        let sent = request
            .bearer_auth(token)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) => {
                let (status, after) = (
                    response.status(),
                    outbound::retry_after(response.headers(), self.clock.now_ms()),
                );
                let text = outbound::text_of(response, ANSWER_BYTES_MAX).await;
                answer::read(status, after, &text)
            }
            Err(error) => Answer::Is(Outcome::Later {
                after: None,
                scope: Scope::Origin,
                detail: answer::network(&error),
            }),
        }
    }

    async fn try_once(&self, parts: Parts<'_>) -> Result<Outcome, Outcome> {
        let encode = |body_max| {
            parts.encode(body_max).map_err(|error| Outcome::Refused {
                detail: format!("it does not encode: {error}"),
            })
        };
        let mut token = self.token().await?;
        let (mut other_token, mut body_max) = (false, None);
        let mut body = encode(body_max)?;
        loop {
            match self.post(&token, body.clone()).await {
                Answer::Is(outcome) => return Ok(outcome),
                // It may have been withdrawn before its time; another one that is not taken either means
                // more than that.
                Answer::OtherToken(detail) if other_token => return Ok(Outcome::Misconfigured { detail }),
                Answer::OtherToken(_) => {
                    self.tokens.refused(&token);
                    token = self.token().await?;
                    other_token = true;
                }
                Answer::Less(detail) if body_max == Some(0) || parts.body_bytes() == 0 => {
                    return Ok(Outcome::Refused { detail });
                }
                Answer::Less(_) => {
                    let half = body_max.unwrap_or_else(|| parts.body_bytes()) / 2;
                    body_max = Some(if half < BODY_MIN { 0 } else { half });
                    body = encode(body_max)?;
                }
                Answer::Alarming(detail) => {
                    if self.alarm.now() {
                        tracing::error!(push.channel = %Channel::Fcm, "a push was refused: {detail}");
                    }
                    return Ok(Outcome::Refused { detail });
                }
            }
        }
    }
}

impl PushService for Fcm {
    fn channel(&self) -> Channel {
        Channel::Fcm
    }

    /// Apple's part can fail by itself, as when its key has expired.
    fn origin(&self, registration: &PushRegistration) -> String {
        let os = match &registration.request.target {
            PushTarget::Fcm { os: FcmOs::Ios, .. } => "ios",
            PushTarget::Fcm { .. } | PushTarget::WebPush { .. } => "android",
        };
        format!("{} {os}", self.url)
    }

    /// There is nobody else to keep places for.
    fn per_origin_max(&self, in_flight_max: usize) -> usize {
        in_flight_max
    }

    /// Its origins are the operator's own.
    fn refused_users_max(&self) -> usize {
        1
    }

    async fn push(&self, push: Push<'_>) -> Outcome {
        let PushTarget::Fcm { token, os } = &push.registration.request.target else {
            return Outcome::Refused {
                detail: "it is not registered with FCM".into(),
            };
        };
        let parts = Parts {
            notice: push.notice,
            token,
            os: *os,
            ttl: push.ttl,
            now_s: self.clock.now_ms() / 1_000,
        };
        self.try_once(parts).await.unwrap_or_else(|outcome| outcome)
    }
}
