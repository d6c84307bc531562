//! Users and groups for the tests of what people do with conversations.

use natterjack_nats::{
    Conversation, GroupId, UserId,
    services::conversations::CreateGroup,
    wire::{Code, WireError},
};
use uuid::Uuid;

use crate::common::{self, World};

/// Users with profiles, without the cost of signing up.
pub async fn users<const N: usize>(world: &World) -> anyhow::Result<[UserId; N]> {
    let users: [UserId; N] = std::array::from_fn(|n| common::user(n as u128 + 1));
    let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
    let insert =
        "insert into users (id, name, created_at) select id, 'user', 0 from unnest($1::uuid[]) as u(id)";
    world.sql(insert, &[&ids]).await?;
    Ok(users)
}

/// A group with these members.
pub async fn group(world: &World, owner: UserId, members: &[UserId]) -> anyhow::Result<GroupId> {
    let request = CreateGroup {
        user: owner,
        request_id: None,
        title: "the group".into(),
        members: members.to_vec(),
    };
    match world.call(&request).await?.conversation {
        Conversation::Group(group) => Ok(group),
        other => anyhow::bail!("{other} is no group"),
    }
}

/// The code of a refusal; `None` for a success.
pub fn code<T>(result: Result<T, WireError>) -> Option<Code> {
    result.err().map(|error| error.code)
}
