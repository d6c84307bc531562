//! Routes of messages, cursors and sync.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use natterjack_nats::{
    Conversation, MessageId,
    services::Done,
    wire::{HistoryQuery, Page, SyncPage},
};
use serde::{Deserialize, Serialize};

use super::{
    error::Answer,
    extract::{Body, Path, Query},
};
use crate::{app::App, auth::Identity, ops::Caller};

/// A message is on disk.
#[derive(Serialize)]
pub(super) struct Ack {
    id: MessageId,
    seq: u64,
}

#[derive(Deserialize)]
pub(super) struct NewMessage {
    id: MessageId,
    text: String,
    reply_to: Option<u64>,
}

pub(super) async fn send(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Body(NewMessage { id, text, reply_to }): Body<NewMessage>,
) -> Answer<Ack> {
    let seq = app.send(&caller, id, conversation, text, reply_to).await?;
    Ok(Json(Ack { id, seq }))
}

#[derive(Deserialize)]
pub(super) struct NewText {
    id: MessageId,
    text: String,
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((conversation, target)): Path<(Conversation, u64)>,
    Body(NewText { id, text }): Body<NewText>,
) -> Answer<Ack> {
    let seq = app.edit(&caller, id, conversation, target, text).await?;
    Ok(Json(Ack { id, seq }))
}

#[derive(Deserialize)]
pub(super) struct DeletionQuery {
    /// Of the deletion, which is a message of its own.
    id: MessageId,
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((conversation, target)): Path<(Conversation, u64)>,
    Query(DeletionQuery { id }): Query<DeletionQuery>,
) -> Answer<Ack> {
    let seq = app.delete(&caller, id, conversation, target).await?;
    Ok(Json(Ack { id, seq }))
}

#[derive(Deserialize)]
pub(super) struct PageQuery {
    before: Option<u64>,
    after: Option<u64>,
    around: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn history(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Query(query): Query<PageQuery>,
) -> Answer<Page> {
    let query = HistoryQuery {
        conversation,
        before: query.before,
        after: query.after,
        around: query.around,
        limit: query.limit,
    };
    let member = app.knows_member(&caller, &conversation);
    Ok(Json(app.history(&caller, member, query).await?))
}

#[derive(Deserialize)]
pub(super) struct Receipt {
    delivered: Option<u64>,
    read: Option<u64>,
}

pub(super) async fn receipt(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Body(Receipt { delivered, read }): Body<Receipt>,
) -> Answer<Done> {
    app.receipt(&caller, conversation, delivered, read).await?;
    Ok(Json(Done {}))
}

#[derive(Deserialize)]
pub(super) struct Typing {
    active: bool,
}

pub(super) async fn typing(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Body(Typing { active }): Body<Typing>,
) -> Answer<Done> {
    app.limits.send(caller.user)?;
    app.typing(&caller, conversation, active).await?;
    Ok(Json(Done {}))
}

#[derive(Deserialize)]
pub(super) struct SyncQuery {
    cursor: Option<String>,
    /// Seconds.
    #[serde(default)]
    wait: u64,
}

pub(super) async fn sync(
    State(app): State<Arc<App>>,
    identity: Identity,
    Query(query): Query<SyncQuery>,
) -> Answer<SyncPage> {
    let wait = Duration::from_secs(query.wait).min(super::SYNC_WAIT_MAX);
    Ok(Json(app.sync(&identity, query.cursor.as_deref(), wait).await?))
}
