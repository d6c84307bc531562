//! Where a time lies in a conversation.
//!
//! Times rise with the sequence, but for as much as the clocks of edges differ; so the place is found by
//! halving the sequences, each step one look-up in the primary key, and no index of times is kept. Where
//! times do not rise, the answer is one of the places at which they pass the wanted one.

use natterjack_nats::Conversation;

use super::{tail::Tail, timeline::Window};
use crate::{db::Tx, failure::Failure};

/// The first row of `$1` that was sent at or after `$2`. What is below `low` was sent before; `found` is the
/// lowest known that was not, and nothing lies from `high` to it. A step looks for the next row from the middle
/// on, and the answer halves the range.
const FIRST: &str = "\
    with recursive step(low, high, found) as ( \
      select 0::bigint, coalesce(max(seq), 0) + 1, null::bigint from messages where conversation = $1 \
      union all \
      select case when early then seq + 1 else low end, \
        case when early then high else middle end, \
        case when early is false then seq else found end \
      from (select *, low + (high - low) / 2 as middle from step where low < high) as step \
      left join lateral ( \
        select seq, sent_at < $2 as early from messages \
        where conversation = $1 and seq >= middle and seq < high order by seq limit 1 \
      ) as probe on true \
    ) \
    select found from step where low >= high";

/// The window around the first row that was sent at or after `at`; the newest, if there is none.
pub async fn window(tx: &Tx, conversation: &Conversation, at: u64) -> Result<Window, Failure> {
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let row = tx.query_one(FIRST, &[&conversation.key(), &at]).await?;
    let first = row.get::<_, Option<i64>>(0).map(i64::cast_unsigned);
    Ok(first.map_or(Window::Before(u64::MAX), Window::Around))
}

/// The first message that was sent at or after `at`, if the tail has it and the rows did not have it yet.
pub fn earlier(at: u64, window: Window, tail: &Tail) -> Option<u64> {
    let known = match window {
        Window::Around(seq) => seq,
        Window::Before(_) | Window::After(_) => u64::MAX,
    };
    let reach = tail.messages.iter().filter(|message| message.sent_at >= at);
    reach
        .map(|message| message.seq)
        .min()
        .filter(|&first| first < known)
}
