//! Pushes: where this device is reached, what they say, and what is muted.

use natterjack_nats::{
    Conversation, DeviceId,
    wire::{ConversationSummary, Device, Mute, PushChannels, PushPreview, PushRequest},
};
use reqwest::Method;
use serde_json::json;

use super::{Api, Call};
use crate::error::ApiError;

impl Api {
    /// How a client can be pushed here.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn push_channels(&self) -> Result<PushChannels, ApiError> {
        self.call(Call::get("/v1/push")).await
    }

    /// Registers this device for pushes, in place of what it had registered; again at each start and
    /// whenever the platform gives another target.
    ///
    /// # Errors
    /// `forbidden` for another device than the token's; otherwise as the server says; see [`ApiError`].
    pub async fn register_push(&self, device: DeviceId, request: &PushRequest) -> Result<Device, ApiError> {
        let call = Call::new(Method::PUT, format!("/v1/devices/{device}/push"));
        self.call(call.body(request)).await
    }

    /// This device is pushed no more.
    ///
    /// # Errors
    /// As for [`Api::register_push`].
    pub async fn unregister_push(&self, device: DeviceId) -> Result<(), ApiError> {
        self.done(Call::new(Method::DELETE, format!("/v1/devices/{device}/push")))
            .await
    }

    /// Decides how much pushes say at most.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn set_push_preview(&self, preview: PushPreview) -> Result<(), ApiError> {
        let call = Call::new(Method::PATCH, "/v1/me");
        self.done(call.body(json!({ "push_preview": preview }))).await
    }

    /// Mutes a conversation for oneself, or changes how it is muted.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn mute(
        &self,
        conversation: Conversation,
        mute: Mute,
    ) -> Result<ConversationSummary, ApiError> {
        let call = Call::new(Method::PUT, format!("/v1/conversations/{conversation}/mute"));
        self.call(call.body(mute)).await
    }

    /// Takes it back.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn unmute(&self, conversation: Conversation) -> Result<ConversationSummary, ApiError> {
        self.call(Call::new(
            Method::DELETE,
            format!("/v1/conversations/{conversation}/mute"),
        ))
        .await
    }
}
