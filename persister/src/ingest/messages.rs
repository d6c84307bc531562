//! Messages into Postgres, one transaction a batch.

use std::collections::{BTreeMap, HashSet};

use natterjack_nats::{Conversation, Shard, Shards, subjects::chat, topology, wire::Kind};
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::{
    Poison, Sink, apply,
    decode::{self, Entry},
    metrics::IngestMetrics,
};
use crate::{
    Shared,
    db::{Db, DbError, Tx},
    failure::Failure,
};

/// The message that a sender's client id names in a conversation: each of the two indexes of client
/// ids holds a part of them.
macro_rules! by_client_id {
    ($columns:literal, $conversation:literal, $sender:literal, $client_id:literal) => {
        concat!(
            "select ",
            $columns,
            " from messages where client_id = ",
            $client_id,
            " and conversation = ",
            $conversation,
            " and sender = ",
            $sender,
            " and kind <> 4 and twin is null union all select ",
            $columns,
            " from messages where client_id = ",
            $client_id,
            " and conversation = ",
            $conversation,
            " and sender = ",
            $sender,
            " and kind <> 4 and twin"
        )
    };
}
pub(crate) use by_client_id;

/// First half of the advisory lock's key; the second is the shard.
const LOCK: i32 = 0x6e61_7474;

/// The same rows, once as they are and once as twins.
macro_rules! insert {
    ($twin:literal) => {
        concat!(
            "insert into messages \
              (conversation, seq, sender, client_id, sent_at, kind, reply_to, target, text, event, twin) \
            select given.*, ",
            $twin,
            " from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], \
              $6::smallint[], $7::bigint[], $8::bigint[], $9::text[], $10::jsonb[]) \
              as given (conversation, seq, sender, client_id, sent_at, kind, reply_to, target, text, event) \
            on conflict do nothing \
            returning conversation, seq"
        )
    };
}
const INSERT: &str = insert!("null::boolean");

/// What the insert left out is a twin if its sender has no such message: another sender of the
/// conversation had the client id before. A redelivery conflicts here too.
const INSERT_TWINS: &str = insert!("true");

/// Who has such a message. By itself: Citus refuses a condition on other rows in an insert from arrays.
const NO_TWINS: &str = "\
    select given.conversation, given.seq \
    from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[]) as given (conversation, seq, sender, client_id) \
    join messages m on m.client_id = given.client_id and m.conversation = given.conversation \
      and m.sender = given.sender \
    where m.kind <> 4 and m.twin is null";

/// What that left out as well is a redelivery, which conflicts here too, or a second copy of a
/// message: it keeps its place, since its successor names it as predecessor.
const INSERT_COPIES: &str = concat!(
    "insert into messages (conversation, seq, sender, client_id, sent_at, kind, target) \
    select copy.conversation, copy.seq, copy.sender, copy.client_id, copy.sent_at, 4, first.seq \
    from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[]) \
      as copy (conversation, seq, sender, client_id, sent_at) \
    cross join lateral (",
    by_client_id!("seq", "copy.conversation", "copy.sender", "copy.client_id"),
    ") as first \
    on conflict do nothing \
    returning conversation, seq"
);

/// Another message has the place: the stream was made anew and counts from 1 again. The insert is
/// meant to fail, so that the message becomes a dead letter instead of being taken for written.
const REFUSE_STRANGERS: &str = "\
    insert into messages (conversation, seq, sender, client_id, sent_at, kind) \
    select given.conversation, given.seq, given.sender, given.client_id, given.sent_at, 4 \
    from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[]) \
      as given (conversation, seq, sender, client_id, sent_at) \
    join messages m using (conversation, seq) \
    where (m.sender, m.client_id) <> (given.sender, given.client_id)";

const UPSERT_CONVERSATIONS: &str = "\
    insert into conversations (key, kind, low, high, head, head_at, shown) \
    select * from unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], \
      $5::bigint[], $6::bigint[], $7::bigint[]) \
    on conflict (key) do update set \
      head = greatest(conversations.head, excluded.head), \
      head_at = greatest(conversations.head_at, excluded.head_at), \
      shown = greatest(conversations.shown, excluded.shown) \
    returning key, xmax = 0 as fresh";

/// Beside the rows, in the same transaction: a backup knows how far it has come (see [`crate::marks`]).
const RAISE_HEAD: &str = "update stream_marks set head = $2 where name = $1 and head < $2";

const INSERT_PAIR: &str = "\
    insert into members (conversation, user_id, role, joined_at) \
    select conversation, user_id, 0, joined_at \
    from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as pair (conversation, user_id, joined_at) \
    on conflict do nothing";

/// The number of a kind in `messages.kind`.
pub const fn kind_number(kind: Kind) -> i16 {
    kind as i16
}

/// Writes the messages of one shard.
pub struct Messages {
    db: Db,
    shards: Shards,
    shard: i32,
    stream: String,
    metrics: IngestMetrics,
}

/// What a batch did to one conversation.
#[derive(Default)]
struct Moved {
    head: i64,
    head_at: i64,
    shown: i64,
}

impl Messages {
    pub fn new(shared: &Shared, shard: Shard, metrics: IngestMetrics) -> Self {
        Self {
            db: shared.db.clone(),
            shards: shared.shards,
            shard: i32::try_from(shard.index()).unwrap_or_default(),
            stream: topology::chat_stream(shard),
            metrics,
        }
    }

    async fn write_in(&self, tx: &Tx, entries: &[&Entry], keys: &[Uuid]) -> Result<usize, DbError> {
        // Persisters take turns on a shard: an edit and its target in two transactions at once
        // would not see each other.
        tx.query("select pg_advisory_xact_lock($1, $2)", &[&LOCK, &self.shard])
            .await?;
        let everything: Vec<usize> = (0..entries.len()).collect();
        let mut placed = insert(tx, INSERT, entries, keys, &everything).await?;
        let not_in = |placed: &Places| -> Vec<usize> {
            let missing = |&at: &usize| !placed.contains(&(keys[at], entries[at].seq));
            (0..entries.len()).filter(missing).collect()
        };
        let mut rejected = not_in(&placed);
        if !rejected.is_empty() {
            let twins = twins(tx, entries, keys, &rejected).await?;
            placed.extend(insert(tx, INSERT_TWINS, entries, keys, &twins).await?);
            rejected = not_in(&placed);
        }
        let copies = if rejected.is_empty() {
            HashSet::new()
        } else {
            insert_copies(tx, entries, keys, &rejected).await?
        };
        let changeable = (0..entries.len())
            .filter(|&at| placed.contains(&(keys[at], entries[at].seq)))
            .filter(|&at| entries[at].stored.kind != Kind::Event)
            .map(|at| (keys[at], entries[at]));
        apply::changes(tx, changeable).await?;
        placed.extend(&copies);
        let mut moved = BTreeMap::<Uuid, (Conversation, Moved)>::new();
        for (entry, key) in entries.iter().zip(keys) {
            if !placed.contains(&(*key, entry.seq)) {
                continue;
            }
            let (_, conversation) = moved
                .entry(*key)
                .or_insert_with(|| (entry.stored.conversation, Moved::default()));
            conversation.head = conversation.head.max(entry.seq);
            conversation.head_at = conversation.head_at.max(entry.sent_at);
            let shows = matches!(entry.stored.kind, Kind::Text | Kind::Event);
            if shows && !copies.contains(&(*key, entry.seq)) {
                conversation.shown = conversation.shown.max(entry.seq);
            }
        }
        upsert_conversations(tx, &moved).await?;
        if let Some(head) = entries.iter().map(|entry| entry.seq).max() {
            tx.execute(RAISE_HEAD, &[&self.stream, &head]).await?;
        }
        Ok(copies.len())
    }
}

impl Sink for Messages {
    type Item = Entry;

    fn decode(&self, subject: &str, seq: u64, payload: &[u8]) -> Result<Option<Entry>, Poison> {
        // A refusal keeps an id for as long as the stream remembers it. It is part of no history.
        if chat::parse_void(self.shards, subject).is_some() {
            return Ok(None);
        }
        decode::decode(self.shards, subject, seq, payload).map(Some)
    }

    async fn write(&self, items: &[Entry]) -> Result<(), Failure> {
        let mut entries: Vec<&Entry> = items.iter().collect();
        // Of two copies in one batch the first counts.
        entries.sort_unstable_by_key(|entry| entry.seq);
        let keys: Vec<Uuid> = entries
            .iter()
            .map(|entry| entry.stored.conversation.key())
            .collect();
        let (entries, keys) = (&entries, &keys);
        let copies = self
            .db
            .tx(
                "ingest",
                |tx| async move { self.write_in(&tx, entries, keys).await },
            )
            .await?;
        self.metrics.duplicates(copies);
        Ok(())
    }
}

type Places = HashSet<(Uuid, i64)>;

/// Inserts those of the entries that `which` names.
async fn insert(
    tx: &Tx,
    sql: &'static str,
    entries: &[&Entry],
    keys: &[Uuid],
    which: &[usize],
) -> Result<Places, DbError> {
    let keys: Vec<Uuid> = which.iter().map(|&at| keys[at]).collect();
    let entries: Vec<&Entry> = which.iter().map(|&at| entries[at]).collect();
    let seqs: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
    let senders: Vec<Uuid> = entries
        .iter()
        .map(|entry| entry.stored.sender.as_uuid())
        .collect();
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.stored.id.as_uuid()).collect();
    let sent_at: Vec<i64> = entries.iter().map(|entry| entry.sent_at).collect();
    let kinds: Vec<i16> = entries
        .iter()
        .map(|entry| kind_number(entry.stored.kind))
        .collect();
    let replies: Vec<Option<i64>> = entries.iter().map(|entry| entry.reply_to).collect();
    let targets: Vec<Option<i64>> = entries.iter().map(|entry| entry.target).collect();
    let texts: Vec<Option<&str>> = entries.iter().map(|entry| entry.stored.text.as_deref()).collect();
    let events: Vec<_> = entries
        .iter()
        .map(|entry| entry.stored.event.as_ref().map(Json))
        .collect();
    let rows = tx
        .query(
            sql,
            &[
                &keys, &seqs, &senders, &ids, &sent_at, &kinds, &replies, &targets, &texts, &events,
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Those of the rejected whose sender has no message of that id.
async fn twins(
    tx: &Tx,
    entries: &[&Entry],
    keys: &[Uuid],
    rejected: &[usize],
) -> Result<Vec<usize>, DbError> {
    let conversations: Vec<Uuid> = rejected.iter().map(|&at| keys[at]).collect();
    let seqs: Vec<i64> = rejected.iter().map(|&at| entries[at].seq).collect();
    let of = |id: fn(&Entry) -> Uuid| -> Vec<Uuid> { rejected.iter().map(|&at| id(entries[at])).collect() };
    let senders = of(|entry| entry.stored.sender.as_uuid());
    let ids = of(|entry| entry.stored.id.as_uuid());
    let rows = tx
        .query(NO_TWINS, &[&conversations, &seqs, &senders, &ids])
        .await?;
    let others: Places = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let twin = |&at: &usize| !others.contains(&(keys[at], entries[at].seq));
    Ok(rejected.iter().copied().filter(twin).collect())
}

async fn insert_copies(
    tx: &Tx,
    entries: &[&Entry],
    keys: &[Uuid],
    which: &[usize],
) -> Result<Places, DbError> {
    let keys: Vec<Uuid> = which.iter().map(|&at| keys[at]).collect();
    let seqs: Vec<i64> = which.iter().map(|&at| entries[at].seq).collect();
    let senders: Vec<Uuid> = which
        .iter()
        .map(|&at| entries[at].stored.sender.as_uuid())
        .collect();
    let ids: Vec<Uuid> = which.iter().map(|&at| entries[at].stored.id.as_uuid()).collect();
    let sent_at: Vec<i64> = which.iter().map(|&at| entries[at].sent_at).collect();
    let rows = tx
        .query(INSERT_COPIES, &[&keys, &seqs, &senders, &ids, &sent_at])
        .await?;
    tx.execute(REFUSE_STRANGERS, &[&keys, &seqs, &senders, &ids, &sent_at])
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn upsert_conversations(tx: &Tx, moved: &BTreeMap<Uuid, (Conversation, Moved)>) -> Result<(), DbError> {
    let keys: Vec<Uuid> = moved.keys().copied().collect();
    let (mut kinds, mut lows, mut highs) = (Vec::new(), Vec::new(), Vec::new());
    for (conversation, _) in moved.values() {
        let (kind, low, high) = match conversation {
            Conversation::Dm(dm) => (0_i16, Some(dm.low().as_uuid()), Some(dm.high().as_uuid())),
            Conversation::Group(_) => (1, None, None),
            Conversation::User(_) => (2, None, None),
        };
        kinds.push(kind);
        lows.push(low);
        highs.push(high);
    }
    let heads: Vec<i64> = moved.values().map(|(_, moved)| moved.head).collect();
    let heads_at: Vec<i64> = moved.values().map(|(_, moved)| moved.head_at).collect();
    let shown: Vec<i64> = moved.values().map(|(_, moved)| moved.shown).collect();
    let rows = tx
        .query(
            UPSERT_CONVERSATIONS,
            &[&keys, &kinds, &lows, &highs, &heads, &heads_at, &shown],
        )
        .await?;
    let (mut chats, mut users, mut since) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| row.get("fresh")) {
        let key: Uuid = row.get("key");
        if let Some((Conversation::Dm(dm), moved)) = moved.get(&key) {
            for user in [dm.low(), dm.high()] {
                chats.push(key);
                users.push(user.as_uuid());
                since.push(moved.head_at);
            }
        }
    }
    if !chats.is_empty() {
        tx.execute(INSERT_PAIR, &[&chats, &users, &since]).await?;
    }
    Ok(())
}
