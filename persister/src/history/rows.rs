//! Messages from Postgres.

use natterjack_nats::{
    Conversation, MessageId, UserId,
    limits::PAGE_BYTES_MAX,
    wire::{Kind, Message},
};
use tokio_postgres::{Row, types::Json};

use super::timeline::{Rows, Window};
use crate::{db::Tx, failure::Failure};

/// The columns that [`message`] reads.
macro_rules! columns {
    () => {
        "m.seq, m.sender, m.client_id, m.sent_at, m.kind, m.reply_to, m.target, m.edited, m.deleted, \
         m.text, m.event"
    };
}
pub(super) use columns;

/// Rows of one direction in its order, those at the end without their text: where the texts before
/// them hold more than `$4` bytes, they do not come on the page. The one snapshot of one statement
/// tells the rows, what lies below them and the head.
macro_rules! page {
    ($compare:literal, $order:literal, $below:literal) => {
        concat!(
            "select m.*, one.head, one.below from ( \
              select (select head from conversations where key = $1) as head, ",
            $below,
            " as below \
            ) as one \
            left join lateral ( \
              select seq, sender, client_id, sent_at, kind, reply_to, target, edited, deleted, event, \
                case when earlier <= $4 then text end as text, earlier <= $4 as kept \
              from ( \
                select near.*, sum(size) over (order by seq ",
            $order,
            ") - size as earlier from ( \
                  select m.*, coalesce(octet_length(text), 0) as size from messages m \
                  where conversation = $1 and seq ",
            $compare,
            " $2 order by seq ",
            $order,
            " limit $3 \
                ) as near \
              ) as sized \
            ) as m on true"
        )
    };
}

const AFTER: &str = page!(
    ">",
    "asc",
    "(select seq from messages where conversation = $1 and seq <= $2 order by seq desc limit 1)"
);
/// What lies below is the row after the last one wanted.
const BEFORE: &str = page!("<", "desc", "null::bigint");

/// The rows of a window, one more than `limit` in each direction. Planned once: there is one index in
/// the order that is asked for.
pub async fn read(
    tx: &Tx,
    conversation: &Conversation,
    window: Window,
    limit: usize,
) -> Result<Rows, Failure> {
    match window {
        Window::After(seq) => direction(tx, conversation, AFTER, seq, limit).await,
        Window::Before(seq) => direction(tx, conversation, BEFORE, seq, limit).await,
        Window::Around(seq) => {
            let mut low = direction(tx, conversation, BEFORE, seq, limit).await?;
            let high = direction(tx, conversation, AFTER, seq.saturating_sub(1), limit).await?;
            low.messages.extend(high.messages);
            Ok(Rows {
                cut_high: high.cut_high,
                head: high.head,
                ..low
            })
        }
    }
}

async fn direction(
    tx: &Tx,
    conversation: &Conversation,
    sql: &'static str,
    seq: u64,
    limit: usize,
) -> Result<Rows, Failure> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    // One more than the page may need, and one that tells what lies beyond.
    let wanted = i64::try_from(limit + 2).unwrap_or(i64::MAX);
    let bytes = i64::try_from(PAGE_BYTES_MAX).unwrap_or(i64::MAX);
    let mut rows = tx
        .query(sql, &[&conversation.key(), &seq, &wanted, &bytes])
        .await?;
    let number = |row: Option<&Row>, name| row.and_then(|row| row.get::<_, Option<i64>>(name));
    let (head, mut below) = (number(rows.first(), "head"), number(rows.first(), "below"));
    // Without a message there is one row all the same.
    rows.retain(|row| row.get::<_, Option<i64>>("seq").is_some());
    let kept = rows
        .iter()
        .take_while(|row| row.get("kept"))
        .take(limit + 1)
        .count();
    let cut = kept < rows.len();
    if sql == BEFORE {
        below = number(rows.get(kept), "seq");
    }
    rows.truncate(kept);
    if sql == BEFORE {
        rows.reverse();
    }
    let messages = rows.iter().map(|row| message(*conversation, row));
    Ok(Rows {
        messages: messages.collect::<Result<Vec<_>, _>>()?,
        below: below.unwrap_or_default().cast_unsigned(),
        head: head.unwrap_or_default().cast_unsigned(),
        cut_low: cut && sql == BEFORE,
        cut_high: cut && sql == AFTER,
    })
}

/// The message of a row, without `prev`.
pub fn message(conversation: Conversation, row: &Row) -> Result<Message, Failure> {
    let unsigned = |name| row.get::<_, Option<i64>>(name).map(i64::cast_unsigned);
    let kind: i16 = row.get("kind");
    Ok(Message {
        conversation,
        seq: row.get::<_, i64>("seq").cast_unsigned(),
        prev: 0,
        id: MessageId::from_uuid(row.get("client_id")).map_err(Failure::internal)?,
        sender: UserId::from_uuid(row.get("sender")),
        sent_at: row.get::<_, i64>("sent_at").cast_unsigned(),
        kind: kind_of(kind)
            .ok_or_else(|| Failure::internal(format!("a message of the unknown kind {kind}")))?,
        text: row.get("text"),
        reply_to: unsigned("reply_to"),
        target: unsigned("target"),
        event: row.get::<_, Option<Json<_>>>("event").map(|Json(event)| event),
        edited: unsigned("edited"),
        deleted: unsigned("deleted"),
    })
}

/// The kind with this number in `messages.kind`.
pub fn kind_of(number: i16) -> Option<Kind> {
    [Kind::Text, Kind::Edit, Kind::Delete, Kind::Event, Kind::Duplicate]
        .into_iter()
        .find(|kind| crate::ingest::messages::kind_number(*kind) == number)
}
