//! Receipts on their way out: collected for up to half a second over all sessions of an edge, then
//! one batch a shard to the persister and one ephemeral frame a conversation to those who watch it.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use natterjack_nats::{
    Conversation, Shard, Shards, UserId, subjects,
    topology::chat_stream,
    wire::{Code, Cursor, ReceiptBatch, ReceiptOf, ServerFrame, UserCursor, WireError},
};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{connections::Connections, metrics::EdgeMetrics};

/// Most cursors that wait for the next batch.
const WAITING_MAX: usize = 100_000;
/// Most receipts in one stored batch: about 130 KB.
const BATCH_MAX: usize = 1_000;
/// How far a cursor may lie beyond what its stream is known to hold before the stream is asked:
/// what is true then is taken without a question for every batch.
const AHEAD_MAX: u64 = 10_000;
/// How long a batch may take to be handed to NATS before its receipts wait for the next.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

type Waiting = HashMap<(Conversation, UserId), Reached>;

/// How far a user has got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reached {
    cursor: Cursor,
    /// Up to where a device in the foreground confirmed it.
    foreground: u64,
}

impl Reached {
    fn advanced_to(self, other: Self) -> Self {
        Self {
            cursor: self.cursor.advanced_to(other.cursor),
            foreground: self.foreground.max(other.foreground),
        }
    }
}

/// The receipts of this edge that are not published yet; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Receipts(Arc<Mutex<Waiting>>);

impl Receipts {
    /// Adds a cursor to the next batch, and whether the app was in the foreground. What somebody has read
    /// was in front of them in any case.
    ///
    /// # Errors
    /// `overloaded` if too many wait already.
    pub fn record(
        &self,
        conversation: Conversation,
        user: UserId,
        cursor: Cursor,
        foreground: bool,
    ) -> Result<(), WireError> {
        let foreground = if foreground { cursor.delivered } else { cursor.read };
        self.merge(conversation, user, Reached { cursor, foreground })
    }

    fn merge(&self, conversation: Conversation, user: UserId, reached: Reached) -> Result<(), WireError> {
        let mut waiting = self.lock();
        if waiting.len() >= WAITING_MAX && !waiting.contains_key(&(conversation, user)) {
            return Err(WireError::new(
                Code::Overloaded,
                "too many receipts wait to be stored; send the latest one again soon",
            )
            .retry_after_ms(1_000));
        }
        let entry = waiting.entry((conversation, user)).or_default();
        *entry = entry.advanced_to(reached);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes what was collected.
pub struct Publisher {
    receipts: Receipts,
    nats: Connections,
    shards: Shards,
    metrics: EdgeMetrics,
    /// By shard: up to where its stream is known to reach.
    heads: BTreeMap<Shard, u64>,
}

impl Publisher {
    /// Of these receipts.
    #[must_use]
    pub const fn new(receipts: Receipts, nats: Connections, shards: Shards, metrics: EdgeMetrics) -> Self {
        Self {
            receipts,
            nats,
            shards,
            metrics,
            heads: BTreeMap::new(),
        }
    }

    /// Publishes a batch every interval until `over`, and then, once more, what is left.
    pub async fn run(mut self, every: Duration, over: impl Future<Output = ()>) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(over);
        loop {
            let last = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut over => true,
            };
            self.publish_all().await;
            if last {
                return;
            }
        }
    }

    async fn publish_all(&mut self) {
        let waiting = mem::take(&mut *self.receipts.lock());
        self.look_ahead(&waiting).await;
        let waiting = sensible(self.shards, waiting, &self.heads);
        if waiting.is_empty() {
            return;
        }
        let Collected {
            conversations,
            batches,
        } = collect(self.shards, waiting);
        for (conversation, cursors) in conversations {
            let frame = ServerFrame::Receipts {
                conversation,
                cursors,
            };
            let subject = subjects::live::subject(&conversation);
            // Ephemeral: who misses it reads the cursors from the conversation.
            let _ = timeout(
                PUBLISH_TIMEOUT,
                self.nats.service.publish(subject, encode(&frame).into()),
            )
            .await;
        }
        for (shard, batch) in batches {
            self.store(shard, batch).await;
        }
    }

    /// Asks those streams how far they reach beyond whose known end a cursor lies.
    async fn look_ahead(&mut self, waiting: &Waiting) {
        let mut highest = BTreeMap::<Shard, u64>::new();
        for ((conversation, _), reached) in waiting {
            let highest = highest.entry(self.shards.of(conversation)).or_default();
            *highest = reached.cursor.delivered.max(*highest);
        }
        for (shard, cursor) in highest {
            if cursor <= reach(&self.heads, shard) {
                continue;
            }
            let Some(link) = self.nats.publish.current() else {
                return;
            };
            let stream = timeout(PUBLISH_TIMEOUT, link.context.get_stream(chat_stream(shard))).await;
            if let Ok(Ok(stream)) = stream {
                let last = stream.cached_info().state.last_sequence;
                self.heads.insert(shard, last);
            }
        }
    }

    async fn store(&self, shard: Shard, batch: ReceiptBatch) {
        let payload = encode(&batch).into();
        let stored = async {
            let link = self.nats.publish.current().ok_or("disconnected from NATS")?;
            let subject = subjects::receipt::subject(shard);
            let ack = link.context.publish(subject, payload).await;
            let ack = ack.map_err(|error| error.to_string())?;
            ack.await.map_err(|error| error.to_string())
        };
        match timeout(PUBLISH_TIMEOUT, stored).await {
            Ok(Ok(_)) => {
                self.metrics.receipt_batches.inc();
            }
            failed => {
                // Cursors only rise, so that storing one twice does no harm.
                let error = failed.map_or_else(
                    |_| "no answer in time".to_owned(),
                    |stored: Result<_, String>| stored.err().unwrap_or_default(),
                );
                tracing::warn!(%shard, receipts = batch.receipts.len(), error, "receipts were not stored; they wait for the next batch");
                for receipt in batch.receipts {
                    let reached = Reached {
                        cursor: receipt.cursor,
                        foreground: receipt.foreground,
                    };
                    let _ = self.receipts.merge(receipt.conversation, receipt.user, reached);
                }
            }
        }
    }
}

/// Up to where a cursor is believed without asking the stream.
fn reach(heads: &BTreeMap<Shard, u64>, shard: Shard) -> u64 {
    heads.get(&shard).map_or(0, |head| head + AHEAD_MAX)
}

/// Without what lies beyond reason: cursors only rise, and one that is far too high would hide
/// whatever comes for ever.
fn sensible(shards: Shards, waiting: Waiting, heads: &BTreeMap<Shard, u64>) -> Waiting {
    let sensible = |((conversation, user), mut reached): ((Conversation, UserId), Reached)| {
        let cursor = &mut reached.cursor;
        let shard = shards.of(&conversation);
        if let Some(head) = heads.get(&shard)
            && cursor.delivered > reach(heads, shard)
        {
            cursor.delivered = *head;
            cursor.read = cursor.read.min(*head);
            reached.foreground = reached.foreground.min(*head);
        }
        (reached != Reached::default()).then_some(((conversation, user), reached))
    };
    waiting.into_iter().filter_map(sensible).collect()
}

struct Collected {
    conversations: BTreeMap<Conversation, Vec<UserCursor>>,
    batches: Vec<(Shard, ReceiptBatch)>,
}

fn collect(shards: Shards, waiting: Waiting) -> Collected {
    let mut conversations = BTreeMap::<_, Vec<_>>::new();
    let mut by_shard = BTreeMap::<_, Vec<_>>::new();
    for ((conversation, user), Reached { cursor, foreground }) in waiting {
        conversations
            .entry(conversation)
            .or_default()
            .push(UserCursor { user, cursor });
        by_shard
            .entry(shards.of(&conversation))
            .or_default()
            .push(ReceiptOf {
                conversation,
                user,
                cursor,
                foreground,
            });
    }
    let batches = by_shard.into_iter().flat_map(|(shard, receipts)| {
        let batches: Vec<_> = receipts
            .chunks(BATCH_MAX)
            .map(|receipts| {
                let receipts = receipts.to_vec();
                (shard, ReceiptBatch { receipts })
            })
            .collect();
        batches
    });
    Collected {
        batches: batches.collect(),
        conversations,
    }
}

/// Plain structs of numbers and ids: they always encode.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn cursor(delivered: u64, read: u64) -> Cursor {
        Cursor { delivered, read }
    }

    #[test]
    fn receipts_are_merged_and_split_by_shard_and_size() {
        let shards = Shards::new(4).expect("in range");
        let receipts = Receipts::default();
        let user = |n: u64| UserId::from_parts(n, 0);
        let in_front: HashSet<_> = (0..5_000).step_by(2).map(user).collect();
        for n in 0..5_000 {
            let conversation = Conversation::dm(user(n), user(n + 1));
            receipts
                .record(conversation, user(n), cursor(3, 0), n % 2 == 0)
                .expect("room");
            receipts
                .record(conversation, user(n), cursor(1, 2), false)
                .expect("room");
        }
        let collected = collect(shards, mem::take(&mut *receipts.lock()));
        assert_eq!(collected.conversations.len(), 5_000);
        let mut count = 0;
        for (shard, batch) in collected.batches {
            assert!(batch.receipts.len() <= BATCH_MAX);
            for receipt in batch.receipts {
                assert_eq!(shards.of(&receipt.conversation), shard);
                assert_eq!(receipt.cursor, cursor(3, 2));
                let confirmed = if in_front.contains(&receipt.user) { 3 } else { 2 };
                assert_eq!(receipt.foreground, confirmed);
                count += 1;
            }
        }
        assert_eq!(count, 5_000);
    }

    #[test]
    fn a_cursor_beyond_reason_ends_at_the_end_of_the_stream() {
        let shards = Shards::new(1).expect("in range");
        let user = UserId::from_parts(1, 0);
        let key = (Conversation::User(user), user);
        let of = |cursor: Cursor, head| {
            let heads = [(shards.of(&key.0), head)].into();
            let told = Reached {
                cursor,
                foreground: cursor.delivered,
            };
            let reached = sensible(shards, [(key, told)].into(), &heads).remove(&key)?;
            assert_eq!(reached.foreground, reached.cursor.delivered);
            Some(reached.cursor)
        };
        assert_eq!(of(cursor(12, 11), 10), Some(cursor(12, 11)), "just stored");
        let far = (1 << 53) - 1;
        assert_eq!(of(cursor(far, 5), 10), Some(cursor(10, 5)));
        assert_eq!(of(cursor(far, far), 10), Some(cursor(10, 10)));
        assert_eq!(of(cursor(far, far), 0), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let receipts = Receipts::default();
        let user = |n: usize| UserId::from_parts(n as u64, 0);
        let record = |n| receipts.record(Conversation::User(user(n)), user(n), cursor(1, 0), true);
        for n in 0..WAITING_MAX {
            record(n).expect("room");
        }
        assert_eq!(record(WAITING_MAX).expect_err("full").code, Code::Overloaded);
        record(0).expect("it is there already");
    }
}
