//! What Postgres knows of conversations: the statements of the list.

use std::cmp::Reverse;

use natterjack_nats::{
    Conversation, GroupId, MessageId, UserId,
    limits::UNREAD_MAX,
    wire::{ConversationSummary, Cursor, Kind, Preview, Profile, Role},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{mutes, page_token::Place, rights};
use crate::{
    accounts::millis,
    db::{DbError, Tx},
    failure::Failure,
};

/// How many messages beyond the read cursor are looked at to count the unread ones: the sender of
/// very many messages who never reads must not cost more than this.
const UNREAD_SCAN_MAX: i64 = 20_000;
/// Characters of a preview's text.
pub const PREVIEW_CHARS: usize = 200;

/// A conversation of a user without what a list shows besides.
#[derive(Debug, Clone)]
pub struct Found {
    pub conversation: Conversation,
    pub head: u64,
    pub head_at: i64,
    pub shown: i64,
    pub title: Option<String>,
    pub member_count: Option<u32>,
    pub role: Option<Role>,
}

impl Found {
    /// A 1:1 chat that Postgres has no message of.
    pub const fn empty(conversation: Conversation) -> Self {
        Self {
            conversation,
            head: 0,
            head_at: 0,
            shown: 0,
            title: None,
            member_count: None,
            role: None,
        }
    }

    /// Its place in the list.
    pub fn place(&self) -> Place {
        Place {
            head_at: self.head_at,
            key: self.conversation.key(),
        }
    }
}

/// From the columns kind, key, low, high.
pub fn conversation(row: &Row) -> Result<Conversation, Failure> {
    let (kind, key): (i16, Uuid) = (row.try_get(0)?, row.try_get(1)?);
    let (low, high): (Option<Uuid>, Option<Uuid>) = (row.try_get(2)?, row.try_get(3)?);
    match (kind, low, high) {
        (0, Some(low), Some(high)) => Ok(Conversation::dm(UserId::from_uuid(low), UserId::from_uuid(high))),
        (1, _, _) => Ok(Conversation::Group(GroupId::from_uuid(key))),
        (2, _, _) => Ok(Conversation::User(UserId::from_uuid(key))),
        _ => Err(Failure::internal(format!(
            "the row {key} of conversations names none"
        ))),
    }
}

fn found(row: &Row) -> Result<Found, Failure> {
    let conversation = conversation(row)?;
    let group = matches!(conversation, Conversation::Group(_));
    let member_count: Option<i32> = row.try_get(5)?;
    let role: Option<i16> = row.try_get(9)?;
    Ok(Found {
        conversation,
        title: row.try_get(4)?,
        member_count: member_count.and_then(|count| u32::try_from(count).ok()),
        head: unsigned(row.try_get(6)?),
        head_at: row.try_get(7)?,
        shown: row.try_get(8)?,
        role: role.filter(|_| group).map(rights::from_column),
    })
}

/// A later page of a user's list, most recent first, from after `place` on.
pub async fn page(tx: &Tx, user: UserId, place: Place, limit: usize) -> Result<Vec<Found>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx
        .query(
            "select c.kind, c.key, c.low, c.high, c.title, c.member_count, c.head, c.head_at, c.shown, m.role
             from members m join conversations c on c.key = m.conversation
             where m.user_id = $1 and (c.head_at, c.key) < ($2, $3)
             order by c.head_at desc, c.key desc limit $4",
            &[&user.as_uuid(), &place.head_at, &place.key, &limit],
        )
        .await?;
    rows.iter().map(found).collect()
}

/// These conversations as far as Postgres has them; groups only if the user is in. Planned once.
pub async fn named(tx: &Tx, user: UserId, conversations: &[Conversation]) -> Result<Vec<Found>, Failure> {
    let keys: Vec<Uuid> = conversations.iter().map(Conversation::key).collect();
    let rows = tx
        .query(
            "select c.kind, c.key, c.low, c.high, c.title, c.member_count, c.head, c.head_at, c.shown, m.role
             from unnest($2::uuid[]) as named(key)
             cross join lateral (
                 select kind, key, low, high, title, member_count, head, head_at, shown
                 from conversations where key = named.key offset 0
             ) as c
             left join lateral (
                 select user_id, role from members where conversation = c.key and user_id = $1 offset 0
             ) as m on true
             where c.kind = 0 or (c.kind = 1 and m.user_id is not null)",
            &[&user.as_uuid(), &keys],
        )
        .await?;
    rows.iter().map(found).collect()
}

/// All conversations of a user, most recent first, and with them the user's own log.
///
/// One statement for all that the opening of a session wants of them, and planned once: it may join in
/// one order only.
pub async fn all(tx: &Tx, user: UserId) -> Result<Vec<Found>, Failure> {
    let rows = tx
        .query(
            "select c.kind, c.key, c.low, c.high, c.title, c.member_count, c.head, c.head_at, c.shown, m.role
             from (select conversation, role from members where user_id = $1
                   union all select $1, null::smallint offset 0) as m
             cross join lateral (
                 select kind, key, low, high, title, member_count, head, head_at, shown
                 from conversations where key = m.conversation offset 0
             ) as c",
            &[&user.as_uuid()],
        )
        .await?;
    let mut all: Vec<Found> = rows.iter().map(found).collect::<Result<_, _>>()?;
    all.sort_by_cached_key(|found| Reverse(found.place()));
    Ok(all)
}

/// The conversations of a user, and the user's own log, whose head is beyond a sequence, with it.
/// Planned once.
pub async fn beyond(
    tx: &Tx,
    user: UserId,
    after: u64,
    limit: usize,
) -> Result<Vec<(Conversation, u64)>, Failure> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx
        .query(
            "select c.kind, c.key, c.low, c.high, c.head
             from (select conversation as key from members where user_id = $1
                   union all select $1 offset 0) as mine
             cross join lateral (
                 select kind, key, low, high, head from conversations where key = mine.key offset 0
             ) as c
             where c.head > $2 limit $3",
            &[&user.as_uuid(), &after, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((conversation(row)?, unsigned(row.try_get(4)?))))
        .collect()
}

/// What a list shows of these conversations, in the same order. Planned once.
pub async fn summaries(
    tx: &Tx,
    user: UserId,
    found: Vec<Found>,
    now_ms: u64,
) -> Result<Vec<ConversationSummary>, DbError> {
    let keys: Vec<Uuid> = found.iter().map(|found| found.conversation.key()).collect();
    let shown: Vec<i64> = found.iter().map(|found| found.shown).collect();
    // What Postgres has got since counts as part of the stream's tail, like all that is beyond.
    let heads: Vec<i64> = found
        .iter()
        .map(|found| i64::try_from(found.head).unwrap_or(i64::MAX))
        .collect();
    let peers: Vec<Option<Uuid>> = found
        .iter()
        .map(|found| match found.conversation {
            Conversation::Dm(dm) => dm.peer_of(user).map(UserId::as_uuid),
            _ => None,
        })
        .collect();
    let rows = tx
        .query(
            "select coalesce(mine.delivered, 0), coalesce(mine.read, 0),
             case when p.head > coalesce(mine.read, 0) then (
                 select count(*) from (
                     select from (
                         select kind, deleted, sender from messages
                         where conversation = p.key and seq > coalesce(mine.read, 0) and seq <= p.head
                         order by seq limit $6
                     ) as after
                     where kind = 0 and deleted is null and sender <> $1 limit $5
                 ) as unread
             ) else 0 end,
             s.seq, s.client_id, s.sender, s.sent_at, s.kind,
             case when s.deleted is null then left(s.text, $7) end,
             u.id, u.handle, u.name, coalesce(theirs.delivered, 0), coalesce(theirs.read, 0),
             mute.mentions, mute.until
             from unnest($2::uuid[], $3::uuid[], $4::bigint[], $8::bigint[])
                 with ordinality as p(key, peer, shown, head, n)
             left join lateral (
                 select delivered, read from cursors where conversation = p.key and user_id = $1 offset 0
             ) as mine on true
             left join lateral (
                 select seq, client_id, sender, sent_at, kind, deleted, text from messages
                 where conversation = p.key and seq = p.shown offset 0
             ) as s on true
             left join lateral (select id, handle, name from users where id = p.peer offset 0) as u on true
             left join lateral (
                 select delivered, read from cursors where conversation = p.key and user_id = p.peer offset 0
             ) as theirs on true
             left join lateral (
                 select mentions, until from mutes
                 where conversation = p.key and user_id = $1 and (until is null or until > $9) offset 0
             ) as mute on true
             order by p.n",
            &[
                &user.as_uuid(),
                &keys,
                &peers,
                &shown,
                &i64::from(UNREAD_MAX),
                &UNREAD_SCAN_MAX,
                &i32::try_from(PREVIEW_CHARS).unwrap_or(i32::MAX),
                &heads,
                &millis(now_ms),
            ],
        )
        .await?;
    found
        .into_iter()
        .zip(&rows)
        .map(|(found, row)| summary(found, row))
        .collect()
}

fn summary(found: Found, row: &Row) -> Result<ConversationSummary, DbError> {
    let unread: i64 = row.try_get(2)?;
    let peer = match row.try_get::<_, Option<Uuid>>(9)? {
        Some(id) => Some(Profile {
            id: UserId::from_uuid(id),
            handle: row.try_get(10)?,
            name: row.try_get(11)?,
        }),
        None => None,
    };
    let peer_cursor = match peer {
        Some(_) => Some(cursor(row, 12)?),
        None => None,
    };
    Ok(ConversationSummary {
        conversation: found.conversation,
        head: found.head,
        last_message: preview(row)?,
        unread: u32::try_from(unread).unwrap_or(UNREAD_MAX),
        cursor: cursor(row, 0)?,
        mute: mutes::mute(row, 14)?,
        title: found.title,
        role: found.role,
        member_count: found.member_count,
        peer,
        peer_cursor,
    })
}

/// From two columns from `first` on.
pub fn cursor(row: &Row, first: usize) -> Result<Cursor, DbError> {
    Ok(Cursor {
        delivered: unsigned(row.try_get(first)?),
        read: unsigned(row.try_get(first + 1)?),
    })
}

fn preview(row: &Row) -> Result<Option<Preview>, DbError> {
    let Some(seq) = row.try_get::<_, Option<i64>>(3)? else {
        return Ok(None);
    };
    // An id that is no UUIDv7 cannot have come in; its message is then not shown rather than the
    // whole list refused.
    let Ok(id) = MessageId::from_uuid(row.try_get(4)?) else {
        return Ok(None);
    };
    Ok(Some(Preview {
        seq: unsigned(seq),
        id,
        sender: UserId::from_uuid(row.try_get(5)?),
        sent_at: unsigned(row.try_get(6)?),
        kind: match row.try_get::<_, i16>(7)? {
            0 => Kind::Text,
            1 => Kind::Edit,
            2 => Kind::Delete,
            3 => Kind::Event,
            _ => Kind::Duplicate,
        },
        text: row.try_get(8)?,
    }))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
