//! Asks Postgres about those whom the tail names.

use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Kind, Message},
};
use uuid::Uuid;

use super::{
    overlay::{Facts, Target},
    rows::kind_of,
};
use crate::{db::Tx, failure::Failure, ingest::messages::by_client_id};

const TARGETS: &str = "\
    select seq, sender, kind, deleted is not null as deleted from messages \
    where conversation = $1 and seq = any ($2)";
const FIRSTS: &str = concat!(
    "select copy.sender, copy.client_id, first.seq \
    from unnest($2::uuid[], $3::uuid[]) as copy (sender, client_id) \
    cross join lateral (",
    by_client_id!("seq", "$1", "copy.sender", "copy.client_id"),
    ") as first"
);

/// What Postgres knows about the targets and first copies of `tail`.
pub async fn gather(tx: &Tx, conversation: &Conversation, tail: &[Message]) -> Result<Facts, Failure> {
    let mut facts = Facts::default();
    if tail.is_empty() {
        return Ok(facts);
    }
    let key = conversation.key();
    let senders: Vec<Uuid> = tail.iter().map(|message| message.sender.as_uuid()).collect();
    let ids: Vec<Uuid> = tail.iter().map(|message| message.id.as_uuid()).collect();
    for row in tx.query(FIRSTS, &[&key, &senders, &ids]).await? {
        let id = MessageId::from_uuid(row.get(1)).map_err(Failure::internal)?;
        facts.firsts.insert(
            (UserId::from_uuid(row.get(0)), id),
            row.get::<_, i64>(2).cast_unsigned(),
        );
    }
    let targets: Vec<i64> = tail
        .iter()
        .filter_map(|message| message.target)
        .map(u64::cast_signed)
        .collect();
    if targets.is_empty() {
        return Ok(facts);
    }
    for row in tx.query(TARGETS, &[&key, &targets]).await? {
        let target = Target {
            sender: UserId::from_uuid(row.get("sender")),
            is_text: kind_of(row.get("kind")) == Some(Kind::Text),
            deleted: row.get("deleted"),
        };
        facts
            .targets
            .insert(row.get::<_, i64>("seq").cast_unsigned(), target);
    }
    Ok(facts)
}
