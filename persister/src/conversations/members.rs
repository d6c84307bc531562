//! Who is in a conversation, and how far each has got.

use natterjack_nats::{
    Conversation, UserId,
    services::conversations::Members,
    wire::{Member, Role},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Conversations,
    errors::{no_such_peer, not_yours},
    rights::{self, Refusal},
    rows,
};
use crate::{
    accounts::users,
    db::{DbError, Tx},
    failure::Failure,
};

impl Conversations {
    /// The members of a group, owners first, or the two of a 1:1 chat.
    pub async fn members(&self, request: Members) -> Result<Vec<Member>, Failure> {
        let (user, conversation) = (request.user, request.conversation);
        let read = |tx: Tx| async move {
            match conversation {
                Conversation::Dm(dm) => {
                    dm.peer_of(user).ok_or_else(not_yours)?;
                    let mut two = vec![dm.low(), dm.high()];
                    two.dedup();
                    let members = of_dm(&tx, conversation.key(), &two).await?;
                    if members.len() < two.len() {
                        return Err(no_such_peer());
                    }
                    Ok(members)
                }
                Conversation::Group(_) => {
                    let members = of_group(&tx, conversation.key()).await?;
                    if members.iter().all(|member| member.user.id != user) {
                        return Err(Refusal::NotMember.into());
                    }
                    Ok(members)
                }
                Conversation::User(_) => Err(not_yours()),
            }
        };
        self.db.read("conversations.members", read).await
    }
}

async fn of_group(tx: &Tx, key: Uuid) -> Result<Vec<Member>, DbError> {
    let rows = tx
        .query(
            "select u.id, u.handle, u.name, m.role, m.joined_at, coalesce(c.delivered, 0), coalesce(c.read, 0)
             from members m join users u on u.id = m.user_id
             left join cursors c on c.conversation = m.conversation and c.user_id = m.user_id
             where m.conversation = $1 order by m.role desc, lower(u.name), u.id",
            &[&key],
        )
        .await?;
    rows.iter().map(member).collect()
}

async fn of_dm(tx: &Tx, key: Uuid, two: &[UserId]) -> Result<Vec<Member>, DbError> {
    let two: Vec<Uuid> = two.iter().map(|user| user.as_uuid()).collect();
    let rows = tx
        .query(
            "select u.id, u.handle, u.name, 0::smallint, coalesce(m.joined_at, 0), coalesce(c.delivered, 0), coalesce(c.read, 0)
             from users u
             left join members m on m.conversation = $1 and m.user_id = u.id
             left join cursors c on c.conversation = $1 and c.user_id = u.id
             where u.id = any($2) order by u.id",
            &[&key, &two],
        )
        .await?;
    rows.iter().map(member).collect()
}

fn member(row: &Row) -> Result<Member, DbError> {
    let role: Role = rights::from_column(row.try_get(3)?);
    let joined_at: i64 = row.try_get(4)?;
    Ok(Member {
        user: users::profile(row)?,
        role,
        joined_at: u64::try_from(joined_at).unwrap_or_default(),
        cursor: rows::cursor(row, 5)?,
    })
}
