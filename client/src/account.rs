//! An account on a server, with tokens that stay fresh.

use std::{sync::Arc, time::Duration};

use natterjack_nats::{
    DeviceId,
    services::accounts::{LogIn, SignUp, Tokens},
    wire::{HelloDevice, Profile},
};
use tokio::sync::Mutex;

use crate::{
    api::Api,
    clock::now_ms,
    config::Config,
    error::ApiError,
    token::{AccessToken, TokenError, TokenFuture, TokenSource},
};

/// A token that ends within this time is renewed before it is used.
const TOKEN_LEAD: Duration = Duration::from_secs(30);

/// Who logs in, and on which device.
#[derive(Clone)]
pub struct Credentials {
    /// 3–32 of `a-z 0-9 _ . -`.
    pub handle: String,
    /// 8–1,024 bytes.
    pub password: String,
    /// The device; one that was here before names its id.
    pub device: HelloDevice,
}

/// A logged-in user on one device. Cheap to clone; the clones share their tokens.
///
/// A refresh token is valid once: an application that keeps [`Tokens`] saves every new set, with
/// [`Account::restore`]'s hook.
#[derive(Clone)]
pub struct Account(Arc<Inner>);

type Saver = Box<dyn Fn(&Tokens) + Send + Sync>;

struct Inner {
    api: Api,
    user: Profile,
    device: DeviceId,
    tokens: Mutex<Tokens>,
    saver: Option<Saver>,
}

impl Account {
    /// Makes an account.
    ///
    /// # Errors
    /// If the handle is taken, a rule for handles or passwords is broken, or no server answers.
    pub async fn sign_up(api: &Api, credentials: Credentials) -> Result<Self, ApiError> {
        let Credentials {
            handle,
            password,
            device,
        } = credentials;
        let tokens = api
            .sign_up(&SignUp {
                handle,
                password,
                name: None,
                device,
            })
            .await?;
        Ok(Self::restore(api, tokens, None))
    }

    /// Logs in to an account.
    ///
    /// # Errors
    /// If handle and password do not fit, or no server answers.
    pub async fn log_in(api: &Api, credentials: Credentials) -> Result<Self, ApiError> {
        let Credentials {
            handle,
            password,
            device,
        } = credentials;
        let tokens = api
            .log_in(&LogIn {
                handle,
                password,
                device,
            })
            .await?;
        Ok(Self::restore(api, tokens, None))
    }

    /// The account of tokens that were saved. `saver` is called with every new set, before it is
    /// used.
    #[must_use]
    pub fn restore(api: &Api, tokens: Tokens, saver: Option<Saver>) -> Self {
        Self(Arc::new(Inner {
            api: api.clone(),
            user: tokens.user.clone(),
            device: tokens.device,
            tokens: Mutex::new(tokens),
            saver,
        }))
    }

    /// The user as of the login.
    #[must_use]
    pub fn user(&self) -> &Profile {
        &self.0.user
    }

    /// The device that the tokens are bound to.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.0.device
    }

    /// The tokens of now, to be kept in a safe place.
    pub async fn tokens(&self) -> Tokens {
        self.0.tokens.lock().await.clone()
    }

    /// The account as a source of access tokens.
    #[must_use]
    pub fn source(&self) -> Arc<dyn TokenSource> {
        Arc::new(self.clone())
    }

    /// The HTTP side, in the name of this account.
    #[must_use]
    pub fn api(&self) -> Api {
        self.0.api.with_tokens(self.source())
    }

    /// A configuration to connect with, to the servers of the HTTP side.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            api: Some(self.0.api.clone()),
            ..Config::new(self.0.api.servers().to_vec(), self.source())
        }
    }

    /// New tokens, although the old ones may still be good.
    ///
    /// # Errors
    /// If the device was revoked, the refresh token used before, or no server answers.
    pub async fn refresh(&self) -> Result<Tokens, ApiError> {
        let mut tokens = self.0.tokens.lock().await;
        self.0.refresh(&mut tokens).await?;
        Ok(tokens.clone())
    }
}

impl Inner {
    async fn refresh(&self, tokens: &mut Tokens) -> Result<(), ApiError> {
        let fresh = self.api.refresh(tokens.refresh_token.clone()).await?;
        if let Some(saver) = &self.saver {
            saver(&fresh);
        }
        *tokens = fresh;
        Ok(())
    }
}

impl TokenSource for Account {
    fn token(&self, fresh: bool) -> TokenFuture<'_> {
        Box::pin(async move {
            let mut tokens = self.0.tokens.lock().await;
            let lead_ms = u64::try_from(TOKEN_LEAD.as_millis()).unwrap_or_default();
            if fresh || tokens.expires_at < now_ms().saturating_add(lead_ms) {
                self.0.refresh(&mut tokens).await.map_err(token_error)?;
            }
            Ok(AccessToken {
                token: tokens.access_token.clone(),
                expires_at: Some(tokens.expires_at),
            })
        })
    }
}

fn token_error(error: ApiError) -> TokenError {
    match error {
        ApiError::Wire(error) if !error.retryable => TokenError::Refused(error),
        other => TokenError::Unavailable(other.to_string()),
    }
}
