//! What Postgres knows of conversations: the statements of the list.

use natterjack_nats::{
    Conversation, GroupId, MessageId, UserId,
    limits::UNREAD_MAX,
    wire::{ConversationSummary, Cursor, Kind, Preview, Profile, Role},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{page_token::Place, rights};
use crate::{
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

/// A page of a user's list, most recent first, from after `place` on.
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

/// These conversations as far as Postgres has them; groups only if the user is in.
pub async fn named(tx: &Tx, user: UserId, conversations: &[Conversation]) -> Result<Vec<Found>, Failure> {
    let keys: Vec<Uuid> = conversations.iter().map(Conversation::key).collect();
    let rows = tx
        .query(
            "select c.kind, c.key, c.low, c.high, c.title, c.member_count, c.head, c.head_at, c.shown, m.role
             from conversations c left join members m on m.conversation = c.key and m.user_id = $1
             where c.key = any($2) and (c.kind = 0 or (c.kind = 1 and m.user_id is not null))",
            &[&user.as_uuid(), &keys],
        )
        .await?;
    rows.iter().map(found).collect()
}

/// All groups of a user.
pub async fn groups(tx: &Tx, user: UserId) -> Result<Vec<GroupId>, Failure> {
    let rows = tx
        .query(
            "select c.key from members m join conversations c on c.key = m.conversation
             where m.user_id = $1 and c.kind = 1 order by c.key",
            &[&user.as_uuid()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(GroupId::from_uuid(row.try_get(0)?)))
        .collect()
}

/// A conversation in which Postgres has more than the client.
pub struct Newer {
    pub conversation: Conversation,
    pub head: u64,
    pub head_at: i64,
}

/// The conversations of a user, and the user's own log, whose head is beyond the cursor that
/// stands beside their key, or beyond 0 where none does; most recent first.
pub async fn newer(
    tx: &Tx,
    user: UserId,
    keys: &[Uuid],
    cursors: &[i64],
    limit: usize,
) -> Result<Vec<Newer>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx
        .query(
            "select c.kind, c.key, c.low, c.high, c.head, c.head_at
             from (select conversation as key from members where user_id = $1 union all select $1) as mine
             join conversations c on c.key = mine.key
             left join unnest($2::uuid[], $3::bigint[]) as had(key, cursor) on had.key = c.key
             where c.head > coalesce(had.cursor, 0)
             order by c.head_at desc, c.key desc limit $4",
            &[&user.as_uuid(), &keys, &cursors, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Newer {
                conversation: conversation(row)?,
                head: unsigned(row.try_get(4)?),
                head_at: row.try_get(5)?,
            })
        })
        .collect()
}

/// What a list shows of these conversations, in the same order.
pub async fn summaries(
    tx: &Tx,
    user: UserId,
    found: Vec<Found>,
) -> Result<Vec<ConversationSummary>, DbError> {
    let keys: Vec<Uuid> = found.iter().map(|found| found.conversation.key()).collect();
    let shown: Vec<i64> = found.iter().map(|found| found.shown).collect();
    let peers: Vec<Option<Uuid>> = found
        .iter()
        .map(|found| match found.conversation {
            Conversation::Dm(dm) => dm.peer_of(user).map(UserId::as_uuid),
            _ => None,
        })
        .collect();
    let rows = tx
        .query(
            "select coalesce(mine.delivered, 0), coalesce(mine.read, 0), (
                 select count(*) from (
                     select from (
                         select kind, deleted, sender from messages
                         where conversation = p.key and seq > coalesce(mine.read, 0)
                         order by seq limit $6
                     ) as after
                     where kind = 0 and deleted is null and sender <> $1 limit $5
                 ) as unread
             ),
             s.seq, s.client_id, s.sender, s.sent_at, s.kind,
             case when s.deleted is null then left(s.text, $7) end,
             u.id, u.handle, u.name, coalesce(theirs.delivered, 0), coalesce(theirs.read, 0)
             from unnest($2::uuid[], $3::uuid[], $4::bigint[]) with ordinality as p(key, peer, shown, n)
             left join cursors mine on mine.conversation = p.key and mine.user_id = $1
             left join messages s on s.conversation = p.key and s.seq = p.shown
             left join users u on u.id = p.peer
             left join cursors theirs on theirs.conversation = p.key and theirs.user_id = p.peer
             order by p.n",
            &[
                &user.as_uuid(),
                &keys,
                &peers,
                &shown,
                &i64::from(UNREAD_MAX),
                &UNREAD_SCAN_MAX,
                &i32::try_from(PREVIEW_CHARS).unwrap_or(i32::MAX),
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
