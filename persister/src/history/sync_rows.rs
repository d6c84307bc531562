//! What a sync asks Postgres.

use std::collections::{BTreeMap, HashMap};

use natterjack_nats::{Conversation, GroupId, Shards, UserId, wire::Message};
use uuid::Uuid;

use super::rows::{self, columns};
use crate::{
    db::{DbError, Tx},
    failure::Failure,
};

const MOVED: &str = "\
    select c.key, c.kind, c.low, c.high, c.head from members m join conversations c on c.key = m.conversation \
    where m.user_id = $1 and c.head > $2 \
    union all \
    select key, kind, low, high, head from conversations where key = $1 and kind = 2 and head > $2";
const GROUPS: &str = "\
    select m.conversation from members m join conversations c on c.key = m.conversation \
    where m.user_id = $1 and c.kind = 1 order by 1";
/// Of each shard the conversations whose first message beyond the cursor comes first, and their
/// messages up to the first one (`upto`) of the last of these conversations: those alone are as many
/// as are wanted, and a user of very many conversations costs one index look-up each.
const PLACES: &str = "\
    with firsts as ( \
      select asked.*, m.seq as first, row_number() over (partition by asked.shard order by m.seq) as nth \
      from unnest($1::uuid[], $2::bigint[], $3::smallint[]) with ordinality as asked (key, after, shard, at) \
      cross join lateral ( \
        select seq from messages where conversation = asked.key and seq > asked.after order by seq limit 1 \
      ) m \
    ), near as ( \
      select *, max(first) filter (where nth = $4) over (partition by shard) as upto \
      from firsts where nth <= $4 \
    ) \
    select near.at, m.seq, m.size, near.upto \
    from near cross join lateral ( \
      select seq, coalesce(octet_length(text), 0) as size from messages \
      where conversation = near.key and seq > near.after and (near.upto is null or seq <= near.upto) \
      order by seq limit $4 \
    ) m \
    order by near.at, m.seq";
const MESSAGES: &str = concat!(
    "select asked.at, ",
    columns!(),
    " from unnest($1::uuid[], $2::bigint[]) with ordinality as asked (key, seq, at) \
    join messages m on m.conversation = asked.key and m.seq = asked.seq"
);
const BELOW: &str = "\
    select asked.at, (select max(seq) from messages where conversation = asked.key and seq < asked.first) \
    from unnest($1::uuid[], $2::bigint[]) with ordinality as asked (key, first, at)";

/// Where a user's conversations have moved beyond a cursor, in Postgres.
#[derive(Debug, Default)]
pub struct Moved {
    /// Every group that the user is in, ascending.
    pub groups: Vec<GroupId>,
    /// Sequences beyond the cursor with the bytes of their texts, ascending; at most `limit` each.
    pub places: BTreeMap<Conversation, Vec<(u64, usize)>>,
    /// By index of the shard: up to where the places are all that there are, if not all of them.
    pub upto: BTreeMap<usize, u64>,
}

/// Every group that the user is in, ascending.
pub async fn groups(tx: &Tx, user: UserId) -> Result<Vec<GroupId>, DbError> {
    let groups = tx.query(GROUPS, &[&user.as_uuid()]).await?;
    Ok(groups.iter().map(|row| GroupId::from_uuid(row.get(0))).collect())
}

/// Looks where they have moved. The texts stay where they are until it is known which are wanted.
pub async fn moved(
    tx: &Tx,
    shards: Shards,
    user: UserId,
    cursor: &[u64],
    limit: usize,
) -> Result<Moved, Failure> {
    let lowest = cursor.iter().min().copied().unwrap_or_default();
    let lowest = i64::try_from(lowest).unwrap_or(i64::MAX);
    let groups = groups(tx, user).await?;
    let (mut conversations, mut keys, mut after, mut of) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in tx.query(MOVED, &[&user.as_uuid(), &lowest]).await? {
        let conversation = conversation(row.get(0), row.get(1), row.get(2), row.get(3))?;
        let shard = shards.of(&conversation).index();
        let cursor = cursor.get(shard).copied().unwrap_or_default();
        if row.get::<_, i64>(4).cast_unsigned() > cursor {
            conversations.push(conversation);
            keys.push(conversation.key());
            of.push(i16::try_from(shard).unwrap_or_default());
            after.push(i64::try_from(cursor).unwrap_or(i64::MAX));
        }
    }
    let (mut places, mut upto) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
    if !keys.is_empty() {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        for row in tx.query(PLACES, &[&keys, &after, &of, &limit]).await? {
            let size = usize::try_from(row.get::<_, i32>(2)).unwrap_or_default();
            let conversation = conversations[index(row.get(0))];
            if let Some(last) = row.get::<_, Option<i64>>(3) {
                upto.insert(shards.of(&conversation).index(), last.cast_unsigned());
            }
            places
                .entry(conversation)
                .or_default()
                .push((row.get::<_, i64>(1).cast_unsigned(), size));
        }
    }
    Ok(Moved { groups, places, upto })
}

/// The messages at these places, as far as Postgres has them, without `prev`.
pub async fn messages(
    tx: &Tx,
    places: &[(Conversation, u64)],
) -> Result<HashMap<(Conversation, u64), Message>, Failure> {
    let keys: Vec<Uuid> = places
        .iter()
        .map(|(conversation, _)| conversation.key())
        .collect();
    let seqs: Vec<i64> = places.iter().map(|(_, seq)| seq.cast_signed()).collect();
    let mut found = HashMap::new();
    for row in tx.query(MESSAGES, &[&keys, &seqs]).await? {
        let (conversation, seq) = places[index(row.get("at"))];
        found.insert((conversation, seq), rows::message(conversation, &row)?);
    }
    Ok(found)
}

/// The highest sequence in Postgres below `first` in each of these conversations.
pub async fn below(
    tx: &Tx,
    firsts: &BTreeMap<Conversation, u64>,
) -> Result<BTreeMap<Conversation, u64>, Failure> {
    let keys: Vec<Uuid> = firsts.keys().map(Conversation::key).collect();
    let seqs: Vec<i64> = firsts.values().map(|first| first.cast_signed()).collect();
    let rows = tx.query(BELOW, &[&keys, &seqs]).await?;
    let conversations: Vec<Conversation> = firsts.keys().copied().collect();
    let below = rows.iter().map(|row| {
        let seq = row.get::<_, Option<i64>>(1).unwrap_or_default().cast_unsigned();
        (conversations[index(row.get(0))], seq)
    });
    Ok(below.collect())
}

/// `with ordinality` counts from 1.
fn index(at: i64) -> usize {
    usize::try_from(at - 1).unwrap_or_default()
}

fn conversation(
    key: Uuid,
    kind: i16,
    low: Option<Uuid>,
    high: Option<Uuid>,
) -> Result<Conversation, Failure> {
    match (kind, low, high) {
        (0, Some(low), Some(high)) => Ok(Conversation::dm(UserId::from_uuid(low), UserId::from_uuid(high))),
        (1, ..) => Ok(Conversation::Group(GroupId::from_uuid(key))),
        (2, ..) => Ok(Conversation::User(UserId::from_uuid(key))),
        _ => Err(Failure::internal(format!(
            "the conversation {key} is of the unknown kind {kind}"
        ))),
    }
}
