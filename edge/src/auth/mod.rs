//! Who is there: access tokens of our own and of an outside identity provider, checked without
//! asking anybody, and devices that were revoked.
//!
//! What a client hears is the same whatever is wrong with a token, expiry excepted: an answer that
//! told more would help only those who forge.

mod args;
mod cache;
mod gate;
mod keys;
mod outside;
mod own;
mod revocations;
#[cfg(test)]
mod tests;
mod token;

pub use args::AuthArgs;
use async_nats::{Client, jetstream};
pub use cache::Cache;
use natterjack_nats::{
    DeviceId, UserId,
    wire::{Code, HelloDevice, WireError},
};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks};
use outside::Outside;
use own::{Own, OwnError};
pub use revocations::Revocable;
use revocations::Revocations;
use token::TokenError;
use tokio::sync::broadcast;

use crate::ops::Caller;

/// Whom a token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// When the token expires, Unix milliseconds.
    pub expires_at_ms: u64,
    /// When the token was made, Unix milliseconds; 0 if it does not say so.
    pub issued_at_ms: u64,
}

impl Identity {
    /// Who asks, for [`crate::ops`].
    #[must_use]
    pub const fn caller(&self) -> Caller {
        Caller {
            user: self.user,
            device: self.device,
        }
    }
}

/// Checks access tokens.
pub struct Auth {
    own: Own,
    outside: Option<Outside>,
    revocations: Revocations,
    clock: Clock,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("outside", &self.outside.as_ref().map(Outside::issuer))
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Reads the keys and what was revoked, and keeps both true in tasks of `tasks`.
    ///
    /// # Errors
    /// Where the arguments make no sense, a key file cannot be used, or the bucket of revocations
    /// does not answer.
    pub async fn start(
        args: &AuthArgs,
        service: &Client,
        revocable: Revocable<'_, impl Future<Output = ()> + Send + 'static>,
        clock: Clock,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let context = jetstream::new(service.clone());
        let outside = match args.provider()? {
            Some(provider) => Some(Outside::start(provider, service.clone(), clock.clone()).await?),
            None => None,
        };
        Ok(Self {
            own: Own::start(context.clone(), clock.clone(), tasks).await,
            outside,
            revocations: Revocations::start(context, revocable, clock.clone(), tasks).await?,
            clock,
        })
    }

    /// Whom a token names. `device` is what the client says about its device; it counts only where
    /// the token does not name one (tokens of an outside provider).
    ///
    /// # Errors
    /// `token_expired`, `revoked`, `unauthorized`; `unavailable` while it cannot be told.
    pub async fn verify(&self, token: &str, device: Option<&HelloDevice>) -> Result<Identity, WireError> {
        let now_ms = self.clock.now_ms();
        let named = token::peek(token).map_err(refusal)?;
        let identity = match &self.outside {
            Some(outside) if outside.issuer() == named.issuer => {
                let claims = outside.verify(token, &named, now_ms).await.map_err(refusal)?;
                outside.identify(&claims, device, now_ms).await?
            }
            _ => match self.own.verify(token, &named, now_ms).await {
                Ok(identity) => identity,
                Err(OwnError::Token(error)) => return Err(refusal(error)),
                Err(OwnError::NoKeys) => return Err(no_keys()),
            },
        };
        if self.is_revoked(&identity) {
            return Err(revoked());
        }
        Ok(identity)
    }

    /// Whether the identity's device was revoked after its token was made.
    #[must_use]
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations.covers(identity)
    }

    /// Devices as they are revoked. A receiver that lags behind asks [`Self::is_revoked`] for its
    /// own.
    #[must_use]
    pub fn revocations(&self) -> broadcast::Receiver<(UserId, DeviceId)> {
        self.revocations.subscribe()
    }
}

fn refusal(error: TokenError) -> WireError {
    match error {
        TokenError::Expired => WireError::new(
            Code::TokenExpired,
            "the access token has expired: get a new one with the refresh token",
        ),
        TokenError::Invalid(reason) => {
            tracing::debug!(auth.reason = reason, "refused an access token");
            WireError::new(
                Code::Unauthorized,
                "the access token is not valid here: log in to get one",
            )
        }
    }
}

fn no_keys() -> WireError {
    WireError::new(
        Code::Unavailable,
        "access tokens cannot be checked yet, because the server is still starting; try again soon",
    )
    .retry_after_ms(1_000)
}

/// What a revoked device is told.
pub(crate) fn revoked() -> WireError {
    WireError::new(Code::Revoked, "this device was logged out: log in again")
}
