//! The tables `stream_marks` and `shards`, and the highest sequences that the history has.

use std::collections::BTreeMap;

use natterjack_nats::{Conversation, GroupId, Shards, UserId, topology};
use uuid::Uuid;

use super::Look;
use crate::db::{Db, DbError};

/// How far the database has come in a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The highest sequence of which a row was written.
    pub head: u64,
    /// Everything that the stream stored up to here is in the database.
    pub floor: u64,
}

impl Mark {
    /// Whether a stream has given no sequence as high as the database knows.
    pub const fn is_ahead_of(&self, look: &Look) -> bool {
        look.last < self.head || look.last < self.floor
    }
}

/// All marks, by the name of the stream.
pub async fn read(db: &Db) -> Result<BTreeMap<String, Mark>, DbError> {
    db.read("marks_read", |tx| async move {
        let rows = tx
            .query("select name, head, floor from stream_marks", &[])
            .await?;
        let mark = |row: &tokio_postgres::Row| Mark {
            head: row.get::<_, i64>(1).cast_unsigned(),
            floor: row.get::<_, i64>(2).cast_unsigned(),
        };
        Ok(rows.iter().map(|row| (row.get(0), mark(row))).collect())
    })
    .await
}

const RAISE: &str = "\
    insert into stream_marks (name, head, floor) select * from unnest($1::text[], $2::bigint[], $3::bigint[]) \
    on conflict (name) do update set \
      head = greatest(stream_marks.head, excluded.head), floor = greatest(stream_marks.floor, excluded.floor)";

/// Raises marks; none is lowered.
pub async fn raise(db: &Db, marks: &BTreeMap<String, Mark>) -> Result<(), DbError> {
    if marks.is_empty() {
        return Ok(());
    }
    let names: &Vec<&str> = &marks.keys().map(String::as_str).collect();
    let heads: &Vec<i64> = &marks.values().map(|mark| mark.head.cast_signed()).collect();
    let floors: &Vec<i64> = &marks.values().map(|mark| mark.floor.cast_signed()).collect();
    db.tx("marks_raise", |tx| async move {
        tx.execute(RAISE, &[names, heads, floors]).await.map(drop)
    })
    .await
}

const SET: &str = "\
    insert into stream_marks (name, head, floor) values ($1, $2, $2) \
    on conflict (name) do update set head = excluded.head, floor = excluded.floor";

/// Sets the mark of a stream that was made anew and counts from `seq` on, which may be lower.
pub async fn set(db: &Db, name: &str, seq: u64) -> Result<(), DbError> {
    let seq = &seq.cast_signed();
    db.tx("marks_set", |tx| async move {
        tx.execute(SET, &[&name, seq]).await.map(drop)
    })
    .await
}

/// A database of before the table has marks for as many streams as there were. Marks of streams that nothing was
/// ever written of say nothing: a new cluster may have been left while its first ones were set.
const FIRST_SHARDS: &str = "\
    insert into shards (count) \
      select case when max(greatest(head, floor)) > 0 then count(*)::integer else $1 end \
      from stream_marks where name like 'CHAT\\_%' \
    on conflict do nothing";

/// The number of shards that the database was made for: `now`, unless it knows one already.
pub async fn shards(db: &Db, now: u16) -> Result<u16, DbError> {
    let now = &i32::from(now);
    let known = db
        .tx("marks_shards", |tx| async move {
            tx.execute(FIRST_SHARDS, &[now]).await?;
            let row = tx.query_one("select count from shards", &[]).await?;
            Ok::<_, DbError>(row.get::<_, i32>(0))
        })
        .await?;
    // Nothing else writes it.
    Ok(u16::try_from(known).unwrap_or_default())
}

/// Conversations that are looked at in one statement.
const PAGE: i64 = 20_000;
const CONVERSATIONS: &str = "\
    select key, kind, low, high, head from conversations where key > $1 order by key limit $2";
const LETTERS: &str = "select stream, max(seq) from dead_letters group by stream";

/// The highest sequence that the history has in each shard, and whether it has anything at all. It reads all
/// conversations: only for a stream that was lost.
pub async fn heads(db: &Db, shards: Shards) -> Result<BTreeMap<String, u64>, DbError> {
    let mut heads = BTreeMap::<String, u64>::new();
    let mut after = Uuid::nil();
    loop {
        let from = &after;
        let rows = db
            .read("marks_heads", |tx| async move {
                tx.query(CONVERSATIONS, &[from, &PAGE]).await
            })
            .await?;
        for row in &rows {
            let key: Uuid = row.get(0);
            let conversation = match (row.get::<_, i16>(1), row.get(2), row.get(3)) {
                (0, Some(low), Some(high)) => {
                    Conversation::dm(UserId::from_uuid(low), UserId::from_uuid(high))
                }
                (1, ..) => Conversation::Group(GroupId::from_uuid(key)),
                _ => Conversation::User(UserId::from_uuid(key)),
            };
            let head = heads
                .entry(topology::chat_stream(shards.of(&conversation)))
                .or_default();
            *head = (*head).max(row.get::<_, i64>(4).cast_unsigned());
        }
        match rows.last() {
            Some(last) if i64::try_from(rows.len()).is_ok_and(|count| count == PAGE) => after = last.get(0),
            _ => break,
        }
    }
    let letters = db
        .read("marks_letters", |tx| async move { tx.query(LETTERS, &[]).await })
        .await?;
    for row in &letters {
        let head = heads.entry(row.get(0)).or_default();
        *head = (*head).max(row.get::<_, i64>(1).cast_unsigned());
    }
    Ok(heads)
}
