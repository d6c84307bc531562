//! Groups in Postgres: statements that run inside one change of one group.

use natterjack_nats::{GroupId, UserId, wire::Role};
use uuid::Uuid;

use super::{
    mutes,
    rights::{self, Refusal},
};
use crate::{
    db::{DbError, Tx},
    failure::Failure,
};

/// How many unknown users an error names.
const NAMED_MAX: usize = 5;

/// A group whose row is locked: changes of one group happen one after the other.
pub struct Locked {
    pub key: Uuid,
    pub member_count: u32,
    roles: Vec<(UserId, Role)>,
}

impl Locked {
    /// The role of one of those whom the lock was asked about.
    pub fn role_of(&self, user: UserId) -> Option<Role> {
        self.roles
            .iter()
            .find(|(member, _)| *member == user)
            .map(|(_, role)| *role)
    }

    /// How many owners there are.
    pub fn owners(&self) -> usize {
        let owners = self.roles.iter().filter(|(_, role)| *role == Role::Owner);
        owners.count()
    }
}

/// Locks the group and reads the roles of its owners and of `about`.
pub async fn lock(tx: &Tx, group: GroupId, about: &[UserId]) -> Result<Locked, Failure> {
    let key = group.as_uuid();
    let row = tx
        .query_opt(
            "select coalesce(member_count, 0) from conversations where key = $1 and kind = 1 for update",
            &[&key],
        )
        .await?;
    let member_count: i32 = row.ok_or(Refusal::NotMember)?.try_get(0)?;
    let about: Vec<Uuid> = about.iter().map(|user| user.as_uuid()).collect();
    let rows = tx
        .query(
            "select user_id, role from members where conversation = $1 and (role = 2 or user_id = any($2))",
            &[&key, &about],
        )
        .await?;
    let roles = rows.iter().map(|row| {
        let role = rights::from_column(row.try_get(1)?);
        Ok((UserId::from_uuid(row.try_get(0)?), role))
    });
    Ok(Locked {
        key,
        member_count: u32::try_from(member_count).unwrap_or_default(),
        roles: roles.collect::<Result<_, tokio_postgres::Error>>()?,
    })
}

/// Refuses users who do not exist, naming them.
pub async fn all_exist(tx: &Tx, users: &[UserId]) -> Result<(), Failure> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
    let rows = tx
        .query("select id from users where id = any($1)", &[&ids])
        .await?;
    let known: Vec<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let missing: Vec<String> = users
        .iter()
        .filter(|user| !known.contains(&user.as_uuid()))
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::NoSuchUsers(missing.join(", ")).into())
}

/// A new group without members; whether it is new.
pub async fn insert(tx: &Tx, group: GroupId, title: &str, now_ms: i64) -> Result<bool, DbError> {
    // `head_at` puts a group without messages where it belongs in the list.
    let inserted = tx
        .execute(
            "insert into conversations (key, kind, title, member_count, head_at) values ($1, 1, $2, 0, $3)
             on conflict (key) do nothing",
            &[&group.as_uuid(), &title, &now_ms],
        )
        .await?;
    Ok(inserted == 1)
}

/// Adds members. What was said before they came does not count as unread: their cursors start at
/// the head.
pub async fn add(tx: &Tx, key: Uuid, members: &[(UserId, Role)], now_ms: i64) -> Result<(), DbError> {
    let users: Vec<Uuid> = members.iter().map(|(user, _)| user.as_uuid()).collect();
    let roles: Vec<i16> = members.iter().map(|(_, role)| rights::to_column(*role)).collect();
    tx.execute(
        "insert into members (conversation, user_id, role, joined_at)
         select $1, m.user_id, m.role, $4 from unnest($2::uuid[], $3::smallint[]) as m(user_id, role)",
        &[&key, &users, &roles, &now_ms],
    )
    .await?;
    tx.execute(
        "insert into cursors (conversation, user_id, delivered, read)
         select c.key, m.user_id, c.head, c.head from conversations c, unnest($2::uuid[]) as m(user_id)
         where c.key = $1 and c.head > 0
         on conflict (conversation, user_id) do update
         set delivered = greatest(cursors.delivered, excluded.delivered), read = greatest(cursors.read, excluded.read)",
        &[&key, &users],
    )
    .await?;
    recount(tx, key).await
}

/// Removes a member, and with it that they muted the group: whoever comes back comes anew.
pub async fn remove(tx: &Tx, key: Uuid, user: UserId) -> Result<(), DbError> {
    tx.execute(
        "delete from members where conversation = $1 and user_id = $2",
        &[&key, &user.as_uuid()],
    )
    .await?;
    mutes::delete(tx, user, key).await?;
    recount(tx, key).await
}

/// A new title.
pub async fn rename(tx: &Tx, key: Uuid, title: &str) -> Result<(), DbError> {
    tx.execute(
        "update conversations set title = $2 where key = $1",
        &[&key, &title],
    )
    .await?;
    Ok(())
}

/// A new role.
pub async fn set_role(tx: &Tx, key: Uuid, user: UserId, role: Role) -> Result<(), DbError> {
    tx.execute(
        "update members set role = $3 where conversation = $1 and user_id = $2",
        &[&key, &user.as_uuid(), &rights::to_column(role)],
    )
    .await?;
    Ok(())
}

/// Whether the group has this title already.
pub async fn is_titled(tx: &Tx, key: Uuid, title: &str) -> Result<bool, DbError> {
    let row = tx
        .query_opt(
            "select from conversations where key = $1 and title = $2",
            &[&key, &title],
        )
        .await?;
    Ok(row.is_some())
}

async fn recount(tx: &Tx, key: Uuid) -> Result<(), DbError> {
    tx.execute(
        "update conversations set member_count = (select count(*) from members where conversation = $1) where key = $1",
        &[&key],
    )
    .await?;
    Ok(())
}
