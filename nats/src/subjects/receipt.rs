//! `receipt.<shard>`: batches of delivered and read cursors, for example `receipt.3`.

use crate::shard::Shard;

/// All receipts: the subject of the stream `RECEIPTS`.
pub const ALL: &str = "receipt.*";

/// The subject for the receipts of the conversations of one shard.
#[must_use]
pub fn subject(shard: Shard) -> String {
    format!("receipt.{shard}")
}
