//! Delivered and read cursors into Postgres, of those who are in the conversation.
//!
//! A 1:1 chat needs no creation, so that anybody could fill the table with cursors in chats with
//! ids that they invent. A cursor is written for members, for a user's own log, and in a 1:1 chat
//! that Postgres does not know yet if the stream holds a message of it: then the receipt has only
//! outrun the first batch. Everything else is dropped; nobody has received anything there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_nats::Client;
use natterjack_nats::{
    Conversation, Shards, UserId,
    direct::{self, Bounds, DirectError},
    subjects::chat,
    topology::chat_stream,
    wire::{Cursor, ReceiptBatch, ReceiptOf},
};
use uuid::Uuid;

use crate::{
    Shared,
    db::Db,
    failure::Failure,
    ingest::{Poison, Sink},
};

/// Cursors only rise, and read implies delivered, whatever came before.
const UPSERT: &str = "\
    insert into cursors (conversation, user_id, delivered, read) \
    select given.conversation, given.user_id, given.delivered, given.read \
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::boolean[]) \
      as given (conversation, user_id, delivered, read, taken) \
    where given.taken or exists ( \
      select from members m where m.conversation = given.conversation and m.user_id = given.user_id \
    ) \
    on conflict (conversation, user_id) do update set \
      delivered = greatest(cursors.delivered, excluded.delivered), \
      read = greatest(cursors.read, excluded.read) \
    where cursors.delivered < excluded.delivered or cursors.read < excluded.read";

/// Those of these chats that nobody is in yet.
const UNKNOWN: &str = "\
    select asked.key from unnest($1::uuid[]) as asked (key) \
    where not exists (select from members m where m.conversation = asked.key)";

/// Chats that are asked about in one request; the server answers for at most 1,024 subjects.
const SUBJECTS: usize = 256;
const BYTES: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(3);

/// Writes receipts.
pub struct Receipts {
    db: Db,
    client: Client,
    shards: Shards,
}

impl Receipts {
    /// Into this database.
    #[must_use]
    pub fn new(shared: &Shared) -> Self {
        Self {
            db: shared.db.clone(),
            client: shared.client.clone(),
            shards: shared.shards,
        }
    }

    /// The 1:1 chats that are in a stream and not in Postgres. Postgres is asked first: what is
    /// written meanwhile stays in its stream for a while.
    async fn ahead(&self, merged: &Merged) -> Result<BTreeSet<Conversation>, Failure> {
        let dms: BTreeMap<Uuid, Conversation> = merged
            .keys()
            .filter(|(conversation, _)| matches!(conversation, Conversation::Dm(_)))
            .map(|(conversation, _)| (conversation.key(), *conversation))
            .collect();
        if dms.is_empty() {
            return Ok(BTreeSet::new());
        }
        let keys: &Vec<Uuid> = &dms.keys().copied().collect();
        let unknown = self
            .db
            .read("receipts_unknown", |tx| async move {
                tx.query(UNKNOWN, &[keys]).await.map_err(Failure::from)
            })
            .await?;
        let mut by_shard = BTreeMap::<_, Vec<String>>::new();
        for conversation in unknown.iter().filter_map(|row| dms.get(&row.get::<_, Uuid>(0))) {
            let shard = self.shards.of(conversation);
            let subject = chat::subject(self.shards, conversation);
            by_shard.entry(shard).or_default().push(subject);
        }
        let mut ahead = BTreeSet::new();
        for (shard, subjects) in by_shard {
            for some in subjects.chunks(SUBJECTS) {
                // No answer is tried again, as when Postgres is away.
                let found = self.in_stream(&chat_stream(shard), some).await;
                ahead.extend(found?);
            }
        }
        Ok(ahead)
    }

    async fn in_stream(&self, stream: &str, subjects: &[String]) -> Result<Vec<Conversation>, DirectError> {
        let bounds = Bounds {
            messages: SUBJECTS,
            bytes: BYTES,
            timeout: TIMEOUT,
        };
        let (mut found, mut from) = (Vec::new(), 1);
        loop {
            let batch = direct::last_by_subject_from(&self.client, stream, subjects, from, bounds).await?;
            let messages = batch.messages.iter();
            found.extend(messages.filter_map(|message| chat::parse(self.shards, &message.subject)));
            match batch.messages.last() {
                // Each subject comes once, or once more if it was written to meanwhile.
                Some(last) if batch.more && found.len() < 2 * subjects.len() => from = last.seq + 1,
                _ => return Ok(found),
            }
        }
    }
}

impl Sink for Receipts {
    type Item = ReceiptBatch;

    fn decode(&self, _subject: &str, _seq: u64, payload: &[u8]) -> Result<Option<ReceiptBatch>, Poison> {
        let batch: ReceiptBatch = serde_json::from_slice(payload)?;
        let in_range = |receipt: &ReceiptOf| {
            i64::try_from(receipt.cursor.delivered).is_ok() && i64::try_from(receipt.cursor.read).is_ok()
        };
        if batch.receipts.iter().all(in_range) {
            Ok(Some(batch))
        } else {
            Err(Poison::Range)
        }
    }

    async fn write(&self, items: &[ReceiptBatch]) -> Result<(), Failure> {
        let merged = merge(items);
        if merged.is_empty() {
            return Ok(());
        }
        let ahead = self.ahead(&merged).await?;
        let keys: Vec<Uuid> = merged
            .keys()
            .map(|(conversation, _)| conversation.key())
            .collect();
        let taken: Vec<bool> = merged
            .keys()
            .map(|(conversation, _)| {
                matches!(conversation, Conversation::User(_)) || ahead.contains(conversation)
            })
            .collect();
        let users: Vec<Uuid> = merged.keys().map(|(_, user)| user.as_uuid()).collect();
        let delivered: Vec<i64> = merged
            .values()
            .map(|cursor| cursor.delivered.cast_signed())
            .collect();
        let read: Vec<i64> = merged.values().map(|cursor| cursor.read.cast_signed()).collect();
        let (keys, users, delivered, read, taken) = (&keys, &users, &delivered, &read, &taken);
        self.db
            .tx("receipts", |tx| async move {
                tx.execute(UPSERT, &[keys, users, delivered, read, taken])
                    .await
                    .map_err(Failure::from)
                    .map(drop)
            })
            .await
    }
}

type Merged = BTreeMap<(Conversation, UserId), Cursor>;

/// One cursor per conversation and user, since an upsert cannot touch a row twice; sorted, so that
/// two persisters lock rows in the same order. Without those whom the name alone keeps out.
fn merge(batches: &[ReceiptBatch]) -> Merged {
    let mut merged = Merged::new();
    let receipts = batches.iter().flat_map(|batch| &batch.receipts);
    for receipt in receipts.filter(|receipt| receipt.conversation.admits(receipt.user) != Some(false)) {
        let cursor = merged.entry((receipt.conversation, receipt.user)).or_default();
        *cursor = cursor.advanced_to(receipt.cursor);
    }
    merged
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{Conversation, UserId};

    use super::*;

    #[test]
    fn a_user_has_one_cursor_per_conversation_after_the_merge() {
        let user = UserId::from_parts(1, 1);
        let of = |delivered, read| ReceiptBatch {
            receipts: vec![ReceiptOf {
                conversation: Conversation::User(user),
                user,
                cursor: Cursor { delivered, read },
                foreground: 0,
            }],
        };
        let merged = merge(&[of(5, 2), of(3, 7), of(1, 1)]);
        let cursors: Vec<_> = merged.into_values().collect();
        assert_eq!(
            cursors,
            [Cursor {
                delivered: 7,
                read: 7
            }]
        );
    }
}
