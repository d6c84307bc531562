//! Routes of pushes: where a device is reached, and what is muted.

use std::sync::Arc;

use axum::{Json, extract::State};
use natterjack_nats::{
    Conversation, DeviceId,
    services::Done,
    wire::{ConversationSummary, Device, Mute, PushChannels, PushRequest},
};
use serde::Deserialize;

use super::{
    error::Answer,
    extract::{Body, Path, whole},
};
use crate::{app::App, ops::Caller};

pub(super) async fn channels(State(app): State<Arc<App>>, _: Caller) -> Answer<PushChannels> {
    Ok(Json(app.push_channels().await?))
}

pub(super) async fn register(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(device): Path<DeviceId>,
    Body(request): Body<PushRequest>,
) -> Answer<Device> {
    Ok(Json(app.register_push(&caller, device, request).await?))
}

pub(super) async fn unregister(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(device): Path<DeviceId>,
) -> Answer<Done> {
    app.unregister_push(&caller, device).await?;
    Ok(Json(Done {}))
}

#[derive(Deserialize)]
pub(super) struct NewMute {
    #[serde(default, deserialize_with = "whole")]
    until: Option<u64>,
    #[serde(default = "yes")]
    mentions: bool,
}

const fn yes() -> bool {
    true
}

pub(super) async fn mute(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Body(NewMute { until, mentions }): Body<NewMute>,
) -> Answer<ConversationSummary> {
    let mute = Some(Mute { until, mentions });
    Ok(Json(app.set_mute(&caller, conversation, mute).await?))
}

pub(super) async fn unmute(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
) -> Answer<ConversationSummary> {
    Ok(Json(app.set_mute(&caller, conversation, None).await?))
}
