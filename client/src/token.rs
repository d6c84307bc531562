//! Where access tokens come from.

use std::{future::Future, pin::Pin};

use natterjack_nats::wire::{Code, WireError};

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The JWT.
    pub token: String,
    /// When it expires by the server's clock, Unix milliseconds; `None` if the source cannot tell.
    pub expires_at: Option<u64>,
}

impl std::fmt::Debug for AccessToken {
    // A token in a log is a stolen token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There will be none: the person must log in again.
    #[error("{0}")]
    Refused(WireError),
    /// Not now; try again.
    #[error("cannot get an access token at the moment: {0}")]
    Unavailable(String),
}

/// The answer of a [`TokenSource`].
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, TokenError>> + Send + 'a>>;

/// Gives access tokens. [`crate::Account`] is the usual one; an application with an identity
/// provider of its own brings another.
pub trait TokenSource: Send + Sync + 'static {
    /// A token to connect with. `fresh`: the one given before was refused or is about to expire,
    /// so the same one again is of no use.
    fn token(&self, fresh: bool) -> TokenFuture<'_>;
}

/// One token, that cannot be renewed.
#[derive(Debug, Clone)]
pub struct StaticToken(pub AccessToken);

impl StaticToken {
    /// Of a bare token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(AccessToken {
            token: token.into(),
            expires_at: None,
        })
    }
}

impl TokenSource for StaticToken {
    fn token(&self, fresh: bool) -> TokenFuture<'_> {
        let refused = || {
            let message =
                "the access token has expired or was refused, and it cannot be renewed: log in again";
            TokenError::Refused(WireError::new(Code::Unauthorized, message))
        };
        let answer = if fresh { Err(refused()) } else { Ok(self.0.clone()) };
        Box::pin(std::future::ready(answer))
    }
}
