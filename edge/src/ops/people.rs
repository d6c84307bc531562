//! Accounts and profiles.

use std::time::Duration;

use natterjack_nats::{
    UserId,
    services::{
        accounts::{FindUsers, LogIn, Profiles, Refresh, SetProfile, SignUp, Tokens},
        call,
    },
    wire::{Code, Profile, WireError},
};

use super::Caller;
use crate::app::App;

/// Hashing a password is slow on purpose, and a rush of logins has to queue for it.
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(10);

/// Most users that are found or looked up at once.
const FOUND_MAX: usize = 50;
const LOOKED_UP_MAX: usize = 100;

impl App {
    /// Makes an account with its first device.
    ///
    /// # Errors
    /// `handle_taken`, `bad_request`, or the service is away.
    pub async fn sign_up(&self, request: &SignUp) -> Result<Tokens, WireError> {
        call(&self.nats.service, request, PASSWORD_TIMEOUT).await
    }

    /// Gives a device of an account its tokens.
    ///
    /// # Errors
    /// `unauthorized`, or the service is away.
    pub async fn log_in(&self, request: &LogIn) -> Result<Tokens, WireError> {
        call(&self.nats.service, request, PASSWORD_TIMEOUT).await
    }

    /// Gives new tokens for old.
    ///
    /// # Errors
    /// `unauthorized`, `revoked`, or the service is away.
    pub async fn refresh(&self, request: &Refresh) -> Result<Tokens, WireError> {
        self.ask(request).await
    }

    /// One user.
    ///
    /// # Errors
    /// `not_found`, or the service is away.
    pub async fn user(&self, user: UserId) -> Result<Profile, WireError> {
        let mut found = self.ask(&Profiles { users: vec![user] }).await?;
        found
            .pop()
            .ok_or_else(|| WireError::new(Code::NotFound, "there is no such user"))
    }

    /// Users by id; those that do not exist are left out.
    ///
    /// # Errors
    /// `bad_request` for too many, or the service is away.
    pub async fn users(&self, users: Vec<UserId>) -> Result<Vec<Profile>, WireError> {
        if users.len() > LOOKED_UP_MAX {
            return Err(WireError::new(
                Code::BadRequest,
                format!("ask for at most {LOOKED_UP_MAX} users at once"),
            ));
        }
        if users.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(&Profiles { users }).await
    }

    /// Users whose handle or name starts with a text.
    ///
    /// # Errors
    /// `bad_request` for a prefix of less than two characters, or the service is away.
    pub async fn find_users(&self, prefix: String, limit: Option<usize>) -> Result<Vec<Profile>, WireError> {
        let limit = limit.unwrap_or(FOUND_MAX).clamp(1, FOUND_MAX);
        self.ask(&FindUsers { prefix, limit }).await
    }

    /// A new name for the caller.
    ///
    /// # Errors
    /// `bad_request`, or the service is away.
    pub async fn set_profile(&self, caller: &Caller, name: String) -> Result<Profile, WireError> {
        let user = caller.user;
        self.ask(&SetProfile { user, name }).await
    }
}
