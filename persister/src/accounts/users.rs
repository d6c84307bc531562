//! The table `users`: statements and nothing else.

use natterjack_nats::{UserId, wire::Profile};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::{DbError, Tx};

/// A new user with an account of our own.
pub struct NewUser {
    /// Who.
    pub id: UserId,
    /// In canonical form.
    pub handle: String,
    /// To show.
    pub name: String,
    /// In PHC form.
    pub password_hash: String,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// A user whom an outside identity provider vouches for.
pub struct Outsider {
    /// Who, if there is none yet.
    pub id: UserId,
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// In canonical form.
    pub handle: Option<String>,
    /// To show.
    pub name: String,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// A profile from the first three columns: id, handle, name.
pub fn profile(row: &Row) -> Result<Profile, DbError> {
    Ok(Profile {
        id: UserId::from_uuid(row.try_get(0)?),
        handle: row.try_get(1)?,
        name: row.try_get(2)?,
    })
}

/// Whether it was inserted: not if somebody has the handle.
pub async fn insert(tx: &Tx, user: &NewUser) -> Result<bool, DbError> {
    let inserted = tx
        .execute(
            "insert into users (id, handle, name, password_hash, created_at) values ($1, $2, $3, $4, $5)
             on conflict (handle) do nothing",
            &[
                &user.id.as_uuid(),
                &user.handle,
                &user.name,
                &user.password_hash,
                &user.created_at,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The profile and password hash that belong to a handle.
pub async fn by_handle(tx: &Tx, handle: &str) -> Result<Option<(Profile, Option<String>)>, DbError> {
    let row = tx
        .query_opt(
            "select id, handle, name, password_hash from users where handle = $1",
            &[&handle],
        )
        .await?;
    row.map(|row| Ok((profile(&row)?, row.try_get(3)?))).transpose()
}

/// The profiles of these users, as far as they exist, in the order of the ids.
pub async fn profiles(tx: &Tx, users: &[UserId]) -> Result<Vec<Profile>, DbError> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
    let rows = tx
        .query(
            "select id, handle, name from users where id = any($1) order by id",
            &[&ids],
        )
        .await?;
    rows.iter().map(profile).collect()
}

/// Users whose handle or name starts with `prefix`.
pub async fn find(tx: &Tx, prefix: &str, limit: i64) -> Result<Vec<Profile>, DbError> {
    let pattern = format!("{}%", escape_like(prefix));
    // Two index scans, each bounded, instead of an `or` that may read the whole table.
    let rows = tx
        .query(
            "select id, handle, name from (
                 (select id, handle, name from users where handle like lower($1) order by handle limit $2)
                 union
                 (select id, handle, name from users where lower(name) like lower($1) limit $2)
             ) as found order by handle nulls last, name, id limit $2",
            &[&pattern, &limit],
        )
        .await?;
    rows.iter().map(profile).collect()
}

/// The changed profile; `None` if there is no such user.
pub async fn set_name(tx: &Tx, user: UserId, name: &str) -> Result<Option<Profile>, DbError> {
    let row = tx
        .query_opt(
            "update users set name = $2 where id = $1 returning id, handle, name",
            &[&user.as_uuid(), &name],
        )
        .await?;
    row.as_ref().map(profile).transpose()
}

/// The user of an outside identity, made at first sight. The handle is taken if it is free.
///
/// `None` if somebody else made the same user at the same time and has not committed yet as far as
/// this transaction can see: try again.
pub async fn upsert_outsider(tx: &Tx, outsider: &Outsider) -> Result<Option<Profile>, DbError> {
    if let Some(found) = by_identity(tx, outsider).await? {
        return Ok(Some(found));
    }
    for handle in [outsider.handle.as_deref(), None] {
        let row = tx
            .query_opt(
                "insert into users (id, handle, name, issuer, subject, created_at) values ($1, $2, $3, $4, $5, $6)
                 on conflict do nothing returning id, handle, name",
                &[
                    &outsider.id.as_uuid(),
                    &handle,
                    &outsider.name,
                    &outsider.issuer,
                    &outsider.subject,
                    &outsider.created_at,
                ],
            )
            .await?;
        if let Some(row) = row {
            return profile(&row).map(Some);
        }
        // Either somebody made this very user meanwhile, or the handle is taken.
        if let Some(found) = by_identity(tx, outsider).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn by_identity(tx: &Tx, outsider: &Outsider) -> Result<Option<Profile>, DbError> {
    let row = tx
        .query_opt(
            "select id, handle, name from users where issuer = $1 and subject = $2",
            &[&outsider.issuer, &outsider.subject],
        )
        .await?;
    row.as_ref().map(profile).transpose()
}

/// The text itself as a pattern of `like`.
fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_lose_their_meaning() {
        assert_eq!(escape_like(r"50%_\o"), r"50\%\_\\o");
    }
}
