//! Accounts, profiles and devices.

use natterjack_nats::{
    DeviceId, UserId,
    services::accounts::{LogIn, Refresh, SignUp, Tokens},
    wire::{Device, Me, Privacy, Profile, UserPresence},
};
use reqwest::Method;
use serde_json::json;

use super::{Api, Call};
use crate::error::ApiError;

impl Api {
    /// A new account with its first device.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn sign_up(&self, request: &SignUp) -> Result<Tokens, ApiError> {
        self.call(Call::new(Method::POST, "/v1/signup").body(request))
            .await
    }

    /// A session for a device of an account.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn log_in(&self, request: &LogIn) -> Result<Tokens, ApiError> {
        self.call(Call::new(Method::POST, "/v1/login").body(request))
            .await
    }

    /// New tokens for a refresh token, which is valid once.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn refresh(&self, refresh_token: String) -> Result<Tokens, ApiError> {
        let request = Refresh { refresh_token };
        self.call(Call::new(Method::POST, "/v1/refresh").body(request))
            .await
    }

    /// Ends this device's session.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn log_out(&self) -> Result<(), ApiError> {
        self.done(Call::new(Method::POST, "/v1/logout")).await
    }

    /// One's own profile, and what one has chosen.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn me(&self) -> Result<Me, ApiError> {
        self.call(Call::get("/v1/me")).await
    }

    /// Another name to show.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn set_name(&self, name: &str) -> Result<Profile, ApiError> {
        self.call(Call::new(Method::PATCH, "/v1/me").body(json!({ "name": name })))
            .await
    }

    /// One's own devices.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn devices(&self) -> Result<Vec<Device>, ApiError> {
        self.call(Call::get("/v1/devices")).await
    }

    /// Ends the session of one's own device.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), ApiError> {
        self.done(Call::new(Method::DELETE, format!("/v1/devices/{device}")))
            .await
    }

    /// Ends the sessions of all of one's own devices but this one.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn revoke_other_devices(&self) -> Result<(), ApiError> {
        self.done(Call::new(Method::DELETE, "/v1/devices")).await
    }

    /// Decides who may see whether one is there.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn set_privacy(&self, privacy: Privacy) -> Result<(), ApiError> {
        self.done(Call::new(Method::PATCH, "/v1/me").body(json!({ "presence": privacy })))
            .await
    }

    /// Whether people are there, as far as one may see it; at most a thousand at once.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn presence(&self, users: &[UserId]) -> Result<Vec<UserPresence>, ApiError> {
        let ids: Vec<_> = users.iter().map(ToString::to_string).collect();
        self.call(Call::get("/v1/presence").query("users", Some(ids.join(","))))
            .await
    }

    /// Users whose handle or name starts with `prefix`.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn find_users(&self, prefix: &str, limit: usize) -> Result<Vec<Profile>, ApiError> {
        let call = Call::get("/v1/users").query("prefix", Some(prefix));
        self.call(call.query("limit", Some(limit))).await
    }

    /// The user of exactly that handle, if there is one.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn user_by_handle(&self, handle: &str) -> Result<Option<Profile>, ApiError> {
        let found = self.find_users(handle, 50).await?;
        let exact = |profile: &Profile| profile.handle.as_deref() == Some(handle);
        Ok(found.into_iter().find(exact))
    }

    /// A user's profile.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn user(&self, user: UserId) -> Result<Profile, ApiError> {
        self.call(Call::get(format!("/v1/users/{user}"))).await
    }

    /// Profiles by id; those that do not exist are left out.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn users(&self, users: &[UserId]) -> Result<Vec<Profile>, ApiError> {
        let ids: Vec<_> = users.iter().map(ToString::to_string).collect();
        self.call(Call::get("/v1/users").query("ids", Some(ids.join(","))))
            .await
    }
}
