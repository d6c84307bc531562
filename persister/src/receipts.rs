//! Delivered and read cursors into Postgres.

use std::collections::BTreeMap;

use natterjack_nats::wire::{Cursor, ReceiptBatch, ReceiptOf};
use uuid::Uuid;

use crate::{
    Shared,
    db::{Db, DbError},
    ingest::{Poison, Sink},
};

/// Cursors only rise, and read implies delivered, whatever came before.
const UPSERT: &str = "\
    insert into cursors (conversation, user_id, delivered, read) \
    select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) \
    on conflict (conversation, user_id) do update set \
      delivered = greatest(cursors.delivered, excluded.delivered), \
      read = greatest(cursors.read, excluded.read) \
    where cursors.delivered < excluded.delivered or cursors.read < excluded.read";

/// Writes receipts.
pub struct Receipts {
    db: Db,
}

impl Receipts {
    /// Into this database.
    #[must_use]
    pub fn new(shared: &Shared) -> Self {
        Self {
            db: shared.db.clone(),
        }
    }
}

impl Sink for Receipts {
    type Item = ReceiptBatch;

    fn decode(&self, _subject: &str, _seq: u64, payload: &[u8]) -> Result<ReceiptBatch, Poison> {
        let batch: ReceiptBatch = serde_json::from_slice(payload)?;
        let in_range = |receipt: &ReceiptOf| {
            i64::try_from(receipt.cursor.delivered).is_ok() && i64::try_from(receipt.cursor.read).is_ok()
        };
        if batch.receipts.iter().all(in_range) {
            Ok(batch)
        } else {
            Err(Poison::Range)
        }
    }

    async fn write(&self, items: &[ReceiptBatch]) -> Result<(), DbError> {
        let merged = merge(items);
        if merged.is_empty() {
            return Ok(());
        }
        let keys: Vec<Uuid> = merged.keys().map(|(key, _)| *key).collect();
        let users: Vec<Uuid> = merged.keys().map(|(_, user)| *user).collect();
        let delivered: Vec<i64> = merged
            .values()
            .map(|cursor| cursor.delivered.cast_signed())
            .collect();
        let read: Vec<i64> = merged.values().map(|cursor| cursor.read.cast_signed()).collect();
        let (keys, users, delivered, read) = (&keys, &users, &delivered, &read);
        self.db
            .tx("receipts", |tx| async move {
                tx.execute(UPSERT, &[keys, users, delivered, read])
                    .await
                    .map(drop)
            })
            .await
    }
}

/// One cursor per conversation and user, since an upsert cannot touch a row twice; sorted, so that
/// two persisters lock rows in the same order.
fn merge(batches: &[ReceiptBatch]) -> BTreeMap<(Uuid, Uuid), Cursor> {
    let mut merged = BTreeMap::<_, Cursor>::new();
    for receipt in batches.iter().flat_map(|batch| &batch.receipts) {
        let cursor = merged
            .entry((receipt.conversation.key(), receipt.user.as_uuid()))
            .or_default();
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
