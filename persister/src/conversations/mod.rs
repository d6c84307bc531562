//! `svc.conversations`: the opening of a session, the list, groups and their members.

mod audiences;
mod badges;
mod errors;
mod group_rows;
mod groups;
mod heads;
mod lasts;
mod list;
mod members;
mod mutes;
mod open;
mod page_token;
mod related;
mod rights;
mod rows;
pub mod tail;

/// Statements of the notifier's questions, for whoever explains them.
pub mod statements {
    pub use super::{audiences::LISTENERS, badges::BADGES};
}
pub(crate) use rows::{PREVIEW_CHARS, conversation as of_row};

use async_nats::Client;
use natterjack_nats::{
    Shards,
    services::{conversations as verbs, names as services},
};
use natterjack_runtime::clock::Clock;
use natterjack_service::Host;

use crate::{Args, Shared, db::Db, outbox::Outbox, recent::Recent, watermarks::Watermarks};

/// All that the verbs need; cheap to clone.
#[derive(Clone)]
pub struct Conversations {
    db: Db,
    client: Client,
    shards: Shards,
    watermarks: Watermarks,
    recent: Recent,
    outbox: Outbox,
    clock: Clock,
    group_members_max: u32,
}

/// Starts the service `conversations`.
///
/// # Errors
/// NATS is away.
pub async fn start(shared: &Shared, args: &Args, host: &Host, outbox: &Outbox) -> anyhow::Result<()> {
    let state = Conversations {
        db: shared.db.clone(),
        client: shared.client.clone(),
        shards: shared.shards,
        watermarks: shared.watermarks.clone(),
        recent: shared.recent.clone(),
        outbox: outbox.clone(),
        clock: shared.clock.clone(),
        group_members_max: args.group_members_max,
    };
    let service = host
        .service(
            services::CONVERSATIONS,
            "The opening of a session, the list, groups and their members",
        )
        .await?;
    let verb = |state: Conversations, request: verbs::OpenSession| async move { state.open(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::Heads| async move { state.heads(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::List| async move { state.list(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::One| async move { state.one(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::Members| async move { state.members(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::CreateGroup| async move { state.create(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::Rename| async move { state.rename(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::AddMembers| async move { state.add(request).await };
    service.verb(&state, verb).await?;
    let verb =
        |state: Conversations, request: verbs::RemoveMember| async move { state.remove(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::SetRole| async move { state.set_role(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::Related| async move { state.related(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::SetMute| async move { state.set_mute(request).await };
    service.verb(&state, verb).await?;
    let verb =
        |state: Conversations, request: verbs::Audiences| async move { state.audiences(request).await };
    service.verb(&state, verb).await?;
    let verb = |state: Conversations, request: verbs::Badges| async move { state.badges(request).await };
    service.verb(&state, verb).await
}
