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
    extract::{Body, Path, Query, Whole, whole},
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
    #[serde(default, deserialize_with = "whole")]
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
    Path((conversation, Whole(target))): Path<(Conversation, Whole)>,
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
    Path((conversation, Whole(target))): Path<(Conversation, Whole)>,
    Query(DeletionQuery { id }): Query<DeletionQuery>,
) -> Answer<Ack> {
    let seq = app.delete(&caller, id, conversation, target).await?;
    Ok(Json(Ack { id, seq }))
}

#[derive(Deserialize)]
pub(super) struct PageQuery {
    before: Option<Whole>,
    after: Option<Whole>,
    around: Option<Whole>,
    at: Option<Whole>,
    limit: Option<Whole>,
}

pub(super) async fn history(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Query(query): Query<PageQuery>,
) -> Answer<Page> {
    let query = HistoryQuery {
        conversation,
        before: query.before.map(|Whole(seq)| seq),
        after: query.after.map(|Whole(seq)| seq),
        around: query.around.map(|Whole(seq)| seq),
        at: query.at.map(|Whole(ms)| ms),
        limit: query.limit.map(Whole::count),
    };
    let member = app.knows_member(&caller, &conversation);
    Ok(Json(app.history(&caller, member, query).await?))
}

#[derive(Deserialize)]
pub(super) struct Receipt {
    #[serde(default, deserialize_with = "whole")]
    delivered: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    read: Option<u64>,
    /// Whether the app is in the foreground: without it, other devices are pushed.
    #[serde(default)]
    active: bool,
}

pub(super) async fn receipt(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(conversation): Path<Conversation>,
    Body(receipt): Body<Receipt>,
) -> Answer<Done> {
    let Receipt {
        delivered,
        read,
        active,
    } = receipt;
    app.receipt(&caller, conversation, delivered, read, active)
        .await?;
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
    wait: Whole,
    /// Whether the app is in the foreground while it waits.
    #[serde(default = "yes")]
    active: bool,
}

const fn yes() -> bool {
    true
}

pub(super) async fn sync(
    State(app): State<Arc<App>>,
    identity: Identity,
    Query(query): Query<SyncQuery>,
) -> Answer<SyncPage> {
    let wait = Duration::from_secs(query.wait.0).min(super::SYNC_WAIT_MAX);
    let page = app.sync(&identity, query.cursor.as_deref(), wait, query.active);
    Ok(Json(page.await?))
}
