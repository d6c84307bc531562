//! Routes of the conversation list and of groups.

use std::sync::Arc;

use axum::{Json, extract::State};
use natterjack_nats::{
    Conversation, GroupId, RequestId, UserId,
    limits::PAGE_CONVERSATIONS_MAX,
    services::{Done, conversations::ListPage},
    wire::{ConversationSummary, Member, Role},
};
use serde::Deserialize;

use super::{
    error::Answer,
    extract::{Body, Path, Query, Whole},
};
use crate::{app::App, ops::Caller};

#[derive(Deserialize)]
pub(super) struct ListQuery {
    page: Option<String>,
    limit: Option<Whole>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Answer<ListPage> {
    let limit = query.limit.map_or(PAGE_CONVERSATIONS_MAX, Whole::count);
    Ok(Json(app.conversations(&caller, query.page, limit).await?))
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
) -> Answer<ConversationSummary> {
    Ok(Json(app.conversation(&caller, conversation).await?))
}

pub(super) async fn members(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
) -> Answer<Vec<Member>> {
    Ok(Json(app.members(&caller, conversation).await?))
}

#[derive(Deserialize)]
pub(super) struct NewGroup {
    /// Made by the client, so that the same request again makes no second group.
    request_id: Option<RequestId>,
    title: String,
    #[serde(default)]
    members: Vec<UserId>,
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(group): Body<NewGroup>,
) -> Answer<ConversationSummary> {
    Ok(Json(
        app.create_group(&caller, group.request_id, group.title, group.members)
            .await?,
    ))
}

#[derive(Deserialize)]
pub(super) struct NewTitle {
    title: String,
}

pub(super) async fn rename(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(group): Path<GroupId>,
    Body(NewTitle { title }): Body<NewTitle>,
) -> Answer<ConversationSummary> {
    Ok(Json(app.rename_group(&caller, group, title).await?))
}

#[derive(Deserialize)]
pub(super) struct NewMembers {
    users: Vec<UserId>,
}

pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(group): Path<GroupId>,
    Body(NewMembers { users }): Body<NewMembers>,
) -> Answer<ConversationSummary> {
    Ok(Json(app.add_members(&caller, group, users).await?))
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((group, user)): Path<(GroupId, UserId)>,
) -> Answer<Done> {
    app.remove_member(&caller, group, user).await?;
    Ok(Json(Done {}))
}

#[derive(Deserialize)]
pub(super) struct NewRole {
    role: Role,
}

pub(super) async fn set_role(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((group, user)): Path<(GroupId, UserId)>,
    Body(NewRole { role }): Body<NewRole>,
) -> Answer<Done> {
    app.set_role(&caller, group, user, role).await?;
    Ok(Json(Done {}))
}
