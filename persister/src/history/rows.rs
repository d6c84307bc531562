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

/// Rows of one direction: those whose predecessors on the page hold at most `$4` bytes of text.
/// The one snapshot of one statement tells the rows, what lies below them and the head.
macro_rules! page {
    ($compare:literal, $order:literal, $below:literal) => {
        concat!(
            "with found as ( \
              select seq, coalesce(octet_length(text), 0) as size from messages \
              where conversation = $1 and seq ",
            $compare,
            " $2 order by seq ",
            $order,
            " limit $3 \
            ), \
            kept as ( \
              select seq from (select seq, sum(size) over (order by seq ",
            $order,
            ") - size as earlier from found) sized \
              where earlier <= $4 \
            ) \
            select (select count(*) from found) as found, \
              (select max(seq) from messages where conversation = $1 and seq ",
            $below,
            ") as below, \
              (select max(seq) from messages where conversation = $1) as head, ",
            columns!(),
            " from (select) as one \
            left join (kept join messages m on m.conversation = $1 and m.seq = kept.seq) on true \
            order by m.seq"
        )
    };
}

const AFTER: &str = page!(">", "asc", "<= $2");
const BEFORE: &str = page!("<", "desc", "< (select min(seq) from kept)");

/// The rows of a window, one more than `limit` in each direction.
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
    let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let bytes = i64::try_from(PAGE_BYTES_MAX).unwrap_or(i64::MAX);
    let found = tx
        .query(sql, &[&conversation.key(), &seq, &wanted, &bytes])
        .await?;
    let number = |name| {
        found
            .first()
            .and_then(|row| row.get::<_, Option<i64>>(name))
            .unwrap_or_default()
    };
    let kept = found
        .iter()
        .filter(|row| row.get::<_, Option<i64>>("seq").is_some());
    let messages = kept
        .map(|row| message(*conversation, row))
        .collect::<Result<Vec<_>, _>>()?;
    let cut =
        number("found") >= wanted || number("found") > i64::try_from(messages.len()).unwrap_or(i64::MAX);
    Ok(Rows {
        messages,
        below: number("below").cast_unsigned(),
        head: number("head").cast_unsigned(),
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
