//! The tails of all conversations of a sync, within one budget.
//!
//! Far behind, they are much larger than what a page takes. Beyond the budget each shard keeps its
//! first messages after the cursor, and everything above a common sequence, its cut, waits for the
//! next call: no conversation is known beyond the cut, so that the answer stays exact.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use natterjack_nats::{Conversation, Shards};

use super::{
    tail::{self, Most, Tail},
    timeline::cost,
};
use crate::{Shared, failure::Failure};

/// Bytes of all tails together. Reads that are under way come on top, and a message a shard.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Tails that are read at once.
const READS: usize = 4;
/// Bytes after which the read of one tail stops.
const TAIL_BYTES: usize = 512 * 1024;

/// By conversation.
pub type Tails = BTreeMap<Conversation, Tail>;

/// Reads all that the streams have beyond the watermarks in these `conversations`, from there on
/// even where the cursor is further: an edit and its target may lie on both sides of it.
pub async fn read(
    shared: &Shared,
    watermarks: &[u64],
    cursor: &[u64],
    conversations: impl Iterator<Item = Conversation>,
    limit: usize,
) -> Result<Tails, Failure> {
    let most = Most {
        messages: 1_000.max(limit + 1),
        bytes: TAIL_BYTES,
    };
    let asked = conversations.map(|conversation| async move {
        let at = shared.shards.of(&conversation).index();
        let tail = tail::read(shared, &conversation, watermarks[at] + 1, most).await?;
        if !tail.more || tail.next > cursor[at] {
            return Ok::<_, Failure>((conversation, tail));
        }
        // Far behind, and the caller is further: then `prev` of the first may name an earlier
        // message than its predecessor, which the caller has as well.
        drop(tail);
        let tail = tail::read(shared, &conversation, cursor[at].saturating_add(1), most).await?;
        Ok((conversation, tail))
    });
    let mut held = Held::new(shared.shards, cursor, limit, BYTES_MAX);
    let mut read = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(READS);
    while let Some(tail) = read.next().await {
        let (conversation, tail) = tail?;
        held.add(conversation, tail);
    }
    Ok(held.tails)
}

/// What is kept of the tails that were read so far. Pure.
struct Held<'a> {
    shards: Shards,
    cursor: &'a [u64],
    limit: usize,
    bytes_max: usize,
    bytes: usize,
    /// By index of the shard: nothing beyond is kept.
    cuts: Vec<u64>,
    tails: Tails,
}

impl<'a> Held<'a> {
    fn new(shards: Shards, cursor: &'a [u64], limit: usize, bytes_max: usize) -> Self {
        Self {
            shards,
            cursor,
            limit,
            bytes_max,
            bytes: 0,
            cuts: vec![u64::MAX; cursor.len()],
            tails: Tails::new(),
        }
    }

    fn add(&mut self, conversation: Conversation, mut tail: Tail) {
        cut(&mut tail, self.cuts[self.shards.of(&conversation).index()]);
        self.bytes += bytes(&tail);
        self.tails.insert(conversation, tail);
        if self.bytes > self.bytes_max {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let mut beyond: Vec<Vec<(u64, usize)>> = vec![Vec::new(); self.cursor.len()];
        for (conversation, tail) in &self.tails {
            let shard = self.shards.of(conversation).index();
            let news = tail
                .messages
                .iter()
                .filter(|message| message.seq > self.cursor[shard]);
            beyond[shard].extend(news.map(|message| (message.seq, cost(message))));
        }
        // Half of it, or the next tail would be one too many again.
        let share = self.bytes_max / 2 / self.cursor.len().max(1);
        for (mut beyond, at) in beyond.into_iter().zip(&mut self.cuts) {
            beyond.sort_unstable();
            let mut sum = 0;
            let kept = beyond.iter().take_while(|(_, bytes)| {
                sum += bytes;
                sum <= share
            });
            // As many as a page may take, and one at least.
            let kept = kept.take(self.limit).count().max(1);
            if let Some((last, _)) = beyond.get(kept - 1).filter(|_| kept < beyond.len()) {
                *at = (*at).min(*last);
            }
        }
        for (conversation, tail) in &mut self.tails {
            cut(tail, self.cuts[self.shards.of(conversation).index()]);
        }
        self.bytes = self.tails.values().map(bytes).sum();
        if self.bytes > self.bytes_max {
            // The caller has them.
            for (conversation, tail) in &mut self.tails {
                let cursor = self.cursor[self.shards.of(conversation).index()];
                tail.messages.retain(|message| message.seq > cursor);
            }
            self.bytes = self.tails.values().map(bytes).sum();
        }
    }
}

fn cut(tail: &mut Tail, at: u64) {
    let kept = tail.messages.partition_point(|message| message.seq <= at);
    if kept < tail.messages.len() {
        tail.messages.truncate(kept);
        tail.messages.shrink_to_fit();
        (tail.more, tail.next) = (true, at + 1);
    }
}

fn bytes(tail: &Tail) -> usize {
    tail.messages.iter().map(cost).sum()
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{
        MessageId, UserId,
        headers::Position,
        wire::{Content, Stored},
    };

    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_complete_up_to_the_cut() {
        let shards = Shards::new(1).expect("in range");
        let me = UserId::from_parts(1, 1);
        let with = |n: u64| Conversation::dm(me, UserId::from_parts(2, n.into()));
        let message = |n: u64, seq: u64| {
            let content = Content::Text {
                text: "x".repeat(600),
                reply_to: None,
            };
            Stored::new(with(n), MessageId::generate(seq), me, 1, content).at(Position { seq, prev: 0 })
        };
        // Conversation n has n, n + 50, n + 100 …; the cursor is in the middle.
        let cursor = [500];
        let mut held = Held::new(shards, &cursor, 30, 100_000);
        for n in 1..=50 {
            let messages = (0..20).map(|at| message(n, n + 50 * at)).collect();
            let tail = Tail {
                messages,
                more: false,
                next: 1_001,
            };
            held.add(with(n), tail);
            assert!(held.bytes <= held.bytes_max, "{}", held.bytes);
        }
        let complete_to = held.tails.values().filter(|tail| tail.more);
        let complete_to = complete_to.map(|tail| tail.next - 1).min().expect("cut");
        assert!((530..1_000).contains(&complete_to), "{complete_to}");
        let all = held.tails.values().flat_map(|tail| &tail.messages);
        let mut seqs: Vec<u64> = all.map(|message| message.seq).filter(|seq| *seq > 500).collect();
        seqs.sort_unstable();
        seqs.retain(|seq| *seq <= complete_to);
        assert_eq!(seqs, (501..=complete_to).collect::<Vec<_>>());
    }
}
