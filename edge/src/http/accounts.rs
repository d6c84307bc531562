//! Routes of accounts, profiles and devices.

use std::sync::Arc;

use axum::{Json, extract::State};
use natterjack_nats::{
    DeviceId, UserId,
    services::{
        Done,
        accounts::{LogIn, Refresh, SignUp, Tokens},
    },
    wire::{Device, Me, Privacy, Profile, PushPreview, UserPresence},
};
use serde::{Deserialize, Deserializer};

use super::{
    error::{Answer, bad_request},
    extract::{Address, Body, Path, Query, Whole},
};
use crate::{app::App, ops::Caller};

pub(super) async fn sign_up(
    State(app): State<Arc<App>>,
    Address(address): Address,
    Body(request): Body<SignUp>,
) -> Answer<Tokens> {
    app.limits.sign_in_from(address)?;
    app.limits.sign_in_as(&request.handle)?;
    Ok(Json(app.sign_up(&request).await?))
}

pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Address(address): Address,
    Body(request): Body<LogIn>,
) -> Answer<Tokens> {
    app.limits.sign_in_from(address)?;
    app.limits.sign_in_as(&request.handle)?;
    Ok(Json(app.log_in(&request).await?))
}

pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Address(address): Address,
    Body(request): Body<Refresh>,
) -> Answer<Tokens> {
    app.limits.sign_in_from(address)?;
    Ok(Json(app.refresh(&request).await?))
}

pub(super) async fn log_out(State(app): State<Arc<App>>, caller: Caller) -> Answer<Done> {
    app.revoke_device(&caller, caller.device).await?;
    Ok(Json(Done {}))
}

pub(super) async fn me(State(app): State<Arc<App>>, caller: Caller) -> Answer<Me> {
    Ok(Json(app.me(&caller).await?))
}

/// What stays as it is, is left out.
#[derive(Deserialize)]
pub(super) struct ProfileChange {
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    presence: Option<Privacy>,
    #[serde(default, deserialize_with = "given")]
    push_preview: Option<PushPreview>,
}

/// What is there is a value: `null` is none.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

pub(super) async fn set_me(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(change): Body<ProfileChange>,
) -> Answer<Me> {
    let ProfileChange {
        name,
        presence,
        push_preview,
    } = change;
    if name.is_none() && presence.is_none() && push_preview.is_none() {
        let told = "name what is to change: `name`, `presence`, `push_preview`, or several of them";
        return Err(bad_request(told));
    }
    Ok(Json(app.change_me(&caller, name, presence, push_preview).await?))
}

#[derive(Deserialize)]
pub(super) struct PresenceQuery {
    /// Ids, separated by commas.
    users: String,
}

pub(super) async fn presence(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<PresenceQuery>,
) -> Answer<Vec<UserPresence>> {
    let users = parse_ids("users", &query.users)?;
    Ok(Json(app.presence_of(&caller, users).await?))
}

#[derive(Deserialize)]
pub(super) struct UsersQuery {
    /// Ids, separated by commas.
    ids: Option<String>,
    prefix: Option<String>,
    limit: Option<Whole>,
}

pub(super) async fn users(
    State(app): State<Arc<App>>,
    _: Caller,
    Query(query): Query<UsersQuery>,
) -> Answer<Vec<Profile>> {
    let found = match (query.ids, query.prefix) {
        (Some(ids), None) => app.users(parse_ids("ids", &ids)?).await?,
        (None, Some(prefix)) => app.find_users(prefix, query.limit.map(Whole::count)).await?,
        _ => return Err(bad_request("ask for users by `ids` or by `prefix`")),
    };
    Ok(Json(found))
}

fn parse_ids(name: &str, ids: &str) -> Result<Vec<UserId>, super::ApiError> {
    ids.split(',')
        .filter(|id| !id.is_empty())
        .map(|id| {
            id.parse()
                .map_err(|error| bad_request(format!("`{name}`: {error}")))
        })
        .collect()
}

pub(super) async fn user(State(app): State<Arc<App>>, _: Caller, Path(id): Path<UserId>) -> Answer<Profile> {
    Ok(Json(app.user(id).await?))
}

pub(super) async fn devices(State(app): State<Arc<App>>, caller: Caller) -> Answer<Vec<Device>> {
    Ok(Json(app.devices(&caller).await?))
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(device): Path<DeviceId>,
) -> Answer<Done> {
    app.revoke_device(&caller, device).await?;
    Ok(Json(Done {}))
}

pub(super) async fn revoke_others(State(app): State<Arc<App>>, caller: Caller) -> Answer<Done> {
    app.revoke_other_devices(&caller).await?;
    Ok(Json(Done {}))
}
