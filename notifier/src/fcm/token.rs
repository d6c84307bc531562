//! The OAuth token: cached, renewed early by one at a time, and used to its end while it cannot be renewed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use natterjack_runtime::{
    clock::Clock,
    outbound::{self, Outbound},
};
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;

use super::{answer, credentials::Credentials};

/// Renewed so long before its end.
const EARLY: Duration = Duration::from_secs(300);
/// A token that still serves is not tried to be renewed again for so long after a failure.
const FAILED_PAUSE: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read; a token has about a thousand.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// RFC 7523.
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoToken {
    /// Not now.
    Later {
        /// The pause that was asked for.
        after: Option<Duration>,
        /// What was said.
        detail: String,
    },
    /// Not before an operator mends something.
    Misconfigured {
        /// What to do.
        detail: String,
    },
}

#[derive(Debug, Clone)]
struct Token {
    text: Arc<str>,
    ends: Instant,
}

#[derive(Debug, Default)]
struct Renewal {
    failed: Option<(Instant, NoToken)>,
}

/// The tokens of one service account.
pub struct Tokens {
    outbound: Outbound,
    credentials: Credentials,
    clock: Clock,
    current: Mutex<Option<Token>>,
    renewal: tokio::sync::Mutex<Renewal>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Tokens {
    /// None yet.
    pub fn new(outbound: Outbound, credentials: Credentials, clock: Clock) -> Self {
        Self {
            outbound,
            credentials,
            clock,
            current: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    /// A token that is valid, as far as is known here.
    ///
    /// # Errors
    /// [`NoToken`].
    pub async fn token(&self) -> Result<Arc<str>, NoToken> {
        let asked = Instant::now();
        let (current, early) = self.current();
        let mut renewal = match current {
            Some(token) if !early => return Ok(token),
            // One renews, and all others go on with what there is.
            Some(token) => match self.renewal.try_lock() {
                Ok(renewal) if renewal.failed_lately(asked) => return Ok(token),
                Ok(renewal) => renewal,
                Err(_) => return Ok(token),
            },
            None => self.renewal.lock().await,
        };
        // Somebody may have been through with it while this one waited.
        if let (Some(token), false) = self.current() {
            return Ok(token);
        }
        if let Some((at, failure)) = &renewal.failed
            && *at >= asked
        {
            return Err(failure.clone());
        }
        match self.renew().await {
            Ok(token) => {
                renewal.failed = None;
                let text = Arc::clone(&token.text);
                *self.lock() = Some(token);
                Ok(text)
            }
            Err(failure) => {
                renewal.failed = Some((Instant::now(), failure.clone()));
                let (current, _) = self.current();
                current.ok_or(failure)
            }
        }
    }

    /// This token was not taken: another one is fetched for the next push.
    pub fn refused(&self, token: &str) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|current| *current.text == *token) {
            *current = None;
        }
    }

    /// The project that the tokens are for.
    pub fn project(&self) -> &str {
        &self.credentials.project
    }

    /// What there is, and whether it is time to renew it.
    fn current(&self) -> (Option<Arc<str>>, bool) {
        let current = self.lock();
        let valid = current.as_ref().filter(|token| token.ends > Instant::now());
        let early = valid.is_none_or(|token| token.ends < Instant::now() + EARLY);
        (valid.map(|token| Arc::clone(&token.text)), early)
    }

    async fn renew(&self) -> Result<Token, NoToken> {
        let misconfigured = |detail: String| NoToken::Misconfigured { detail };
        let asked = Instant::now();
        let assertion = self
            .credentials
            .assertion(self.clock.now_ms() / 1_000)
            .map_err(|error| misconfigured(error.to_string()))?;
        let request = self
            .outbound
            .request(Method::POST, &self.credentials.token_uri)
            .map_err(|error| misconfigured(format!("the token_uri of the FCM credentials: {error}")))?;
        let answer = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("grant_type={GRANT}&assertion={assertion}"))
            .send()
            .await
            .map_err(|error| NoToken::Later {
                after: None,
                detail: format!("no OAuth token: {}", answer::network(&error)),
            })?;
        let (status, after) = (
            answer.status(),
            outbound::retry_after(answer.headers(), self.clock.now_ms()),
        );
        let body = outbound::text_of(answer, ANSWER_BYTES_MAX).await;
        if status == StatusCode::OK
            && let Ok(granted) = serde_json::from_str::<Granted>(&body)
        {
            return Ok(Token {
                text: granted.access_token.into(),
                // The answer took its time, and it counts from when it was made.
                ends: asked + Duration::from_secs(granted.expires_in),
            });
        }
        Err(denied(status, after, &body))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Renewal {
    fn failed_lately(&self, now: Instant) -> bool {
        self.failed
            .as_ref()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) < FAILED_PAUSE)
    }
}

/// What an answer without a token means: the errors of RFC 6749, section 5.2, and those that
/// <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-error-codes> lists.
fn denied(status: StatusCode, after: Option<Duration>, body: &str) -> NoToken {
    let later = |detail| NoToken::Later { after, detail };
    let Ok(Denied {
        error,
        error_description: why,
    }) = serde_json::from_str(body)
    else {
        let detail = format!("the token endpoint answered {status} without saying why");
        return if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            later(detail)
        } else {
            NoToken::Misconfigured {
                detail: format!("{detail}; check the token_uri in the FCM credentials"),
            }
        };
    };
    let said = format!("OAuth says {status} {error}: {why}");
    if status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || matches!(
            error.as_str(),
            "temporarily_unavailable" | "server_error" | "internal_failure" | "rate_limit_exceeded"
        )
    {
        return later(said);
    }
    let advice = match error.as_str() {
        "invalid_grant" => {
            "the key of the service account was deleted or disabled, or this machine's clock is wrong: check the \
             clock, or make a new key in the Firebase console, set --fcm-credentials to it, and restart"
        }
        "invalid_client" | "deleted_client" | "disabled_client" | "unauthorized_client" => {
            "the service account was deleted or disabled: enable it in the Google Cloud console, or set \
             --fcm-credentials to the key of another one, and restart"
        }
        "invalid_scope" => "the service account may not use Firebase Cloud Messaging: give it that role",
        "admin_policy_enforced" | "org_internal" | "access_denied" => {
            "a policy of the organisation forbids it: ask its administrator"
        }
        _ => "check the file that --fcm-credentials names",
    };
    NoToken::Misconfigured {
        detail: format!("{said}; {advice}"),
    }
}
