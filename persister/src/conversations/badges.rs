//! How much users have not read, over all their conversations: what a badge on an app's icon shows.

use futures::future::try_join_all;
use natterjack_nats::{
    UserId,
    limits::UNREAD_MAX,
    services::conversations::{BADGE_USERS_MAX, Badge, Badges},
    wire::Code,
};
use uuid::Uuid;

use super::Conversations;
use crate::{
    accounts::millis,
    db::{DbError, Tx},
    failure::Failure,
};

/// Users in one statement.
const CHUNK: usize = 64;
/// Statements at the same time: sessions open on the same connections.
const AT_ONCE: usize = 2;
/// How many messages beyond the read cursors of a user are looked at: of one who never reads and sends
/// very many, the badge may fall short.
const SCAN_MAX: i64 = 20_000;

/// The badges of users. Each step is a look-up by key that the one before leads to, and all of it stops where the count does.
/// The user's conversations come from an index alone; of each, its head and the user's cursor say whether
/// there is anything to count.
pub const BADGES: &str = "\
    select u.id, ( \
      select count(*) from ( \
        select from ( \
          select message.kind, message.deleted, message.sender \
          from (select conversation from members where user_id = u.id offset 0) as m \
          cross join lateral ( \
            select head from conversations where key = m.conversation offset 0 \
          ) as c \
          left join lateral ( \
            select read from cursors where conversation = m.conversation and user_id = u.id offset 0 \
          ) as mine on true \
          left join lateral ( \
            select true as muted from mutes where conversation = m.conversation and user_id = u.id \
              and c.head > coalesce(mine.read, 0) and (until is null or until > $2) offset 0 \
          ) as mute on true \
          cross join lateral ( \
            select kind, deleted, sender from messages \
            where c.head > coalesce(mine.read, 0) and mute.muted is null \
              and conversation = m.conversation and seq > coalesce(mine.read, 0) \
            order by seq limit $4 \
          ) as message \
          limit $4 \
        ) as beyond \
        where kind = 0 and deleted is null and sender <> u.id limit $3 \
      ) as unread \
    ) \
    from unnest($1::uuid[]) as u(id)";

impl Conversations {
    /// The badges of these users, as Postgres knows them; of a user who does not exist it is 0.
    ///
    /// # Errors
    /// `bad_request` for too many; Postgres is away.
    pub async fn badges(&self, request: Badges) -> Result<Vec<Badge>, Failure> {
        if request.users.len() > BADGE_USERS_MAX {
            let told = format!("ask for at most {BADGE_USERS_MAX} users at once");
            return Err(Failure::wire(Code::BadRequest, told));
        }
        let now = millis(self.clock.now_ms());
        let mut badges = Vec::with_capacity(request.users.len());
        let chunks: Vec<&[UserId]> = request.users.chunks(CHUNK).collect();
        for some in chunks.chunks(AT_ONCE) {
            let asked = some.iter().map(|users| async move {
                let read = |tx: Tx| async move { of_users(&tx, users, now).await };
                self.db.read_planned("conversations.badges", read).await
            });
            badges.extend(try_join_all(asked).await?.into_iter().flatten());
        }
        Ok(badges)
    }
}

async fn of_users(tx: &Tx, users: &[UserId], now: i64) -> Result<Vec<Badge>, DbError> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
    let rows = tx
        .query(BADGES, &[&ids, &now, &i64::from(UNREAD_MAX), &SCAN_MAX])
        .await?;
    let badge = |row: &tokio_postgres::Row| {
        let unread: i64 = row.try_get(1)?;
        Ok(Badge {
            user: UserId::from_uuid(row.try_get(0)?),
            unread: u32::try_from(unread).unwrap_or(UNREAD_MAX),
        })
    };
    rows.iter().map(badge).collect()
}
