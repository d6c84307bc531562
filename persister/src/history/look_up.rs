//! `svc.history.look_up`: has this message been sent before, whenever that was?

use natterjack_nats::{
    Conversation, UserId,
    services::history::{Found, LookUp},
    wire::{Code, Fingerprint, WireError},
};

use super::{access, rows::kind_of, tail};
use crate::{Shared, failure::Failure, ingest::messages::by_client_id, outbox};

const BY_ID: &str = by_client_id!("seq, kind, text, reply_to, target, fingerprint", "$1", "$2", "$3");
/// Far more than a persister that keeps up leaves behind. Beyond it, "not found" would be a guess.
const SCAN_MESSAGES_MAX: usize = 20_000;
const SCAN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Looks in Postgres and in all of the tail; "no" means that both were looked at.
pub async fn look_up(shared: Shared, request: LookUp) -> Result<Option<Found>, Failure> {
    let LookUp {
        conversation,
        sender,
        id,
    } = request;
    removal_is_told(&shared, &conversation, sender).await?;
    // Before anything else is read.
    let watermark = shared.watermarks.of(shared.shards.of(&conversation));
    let found = shared
        .db
        .read("look_up", |tx| async move {
            let ids = (conversation.key(), sender.as_uuid(), id.as_uuid());
            let row = tx.query_opt(BY_ID, &[&ids.0, &ids.1, &ids.2]).await?;
            row.map(|row| {
                let unsigned = |name| row.get::<_, Option<i64>>(name).map(i64::cast_unsigned);
                let fingerprint = match row.get::<_, Option<&[u8]>>("fingerprint") {
                    Some(kept) => Fingerprint::from_bytes(
                        kept.try_into()
                            .map_err(|_| Failure::internal("a fingerprint of another length"))?,
                    ),
                    None => Fingerprint::of(
                        kind_of(row.get("kind")).ok_or_else(|| Failure::internal("an unknown kind"))?,
                        row.get("text"),
                        unsigned("reply_to"),
                        unsigned("target"),
                    ),
                };
                Ok::<_, Failure>(Found {
                    seq: row.get::<_, i64>("seq").cast_unsigned(),
                    fingerprint,
                })
            })
            .transpose()
        })
        .await?;
    if found.is_some() {
        return Ok(found);
    }
    let (mut from, mut seen, mut bytes) = (watermark + 1, 0, 0);
    while seen < SCAN_MESSAGES_MAX && bytes < SCAN_BYTES_MAX {
        let chunk = tail::chunk(&shared, &conversation, from, SCAN_MESSAGES_MAX).await?;
        let same = chunk
            .tail
            .messages
            .iter()
            .find(|message| message.sender == sender && message.id == id);
        if let Some(message) = same {
            let (text, reply_to, target) = (message.text.as_deref(), message.reply_to, message.target);
            return Ok(Some(Found {
                seq: message.seq,
                fingerprint: Fingerprint::of(message.kind, text, reply_to, target),
            }));
        }
        if !chunk.tail.more {
            return Ok(None);
        }
        from = chunk.tail.next;
        seen += chunk.seen;
        bytes += chunk.bytes;
    }
    Err(Failure::wire(
        Code::Overloaded,
        "the history is catching up; send again in a moment with the same id",
    ))
}

/// "No" is for good where the sender is no member any more, and a stream that cannot write may yet
/// show a message after its restart whose try went unanswered. Once the event of the removal is in the
/// stream, what was tried before it is there or never will be.
async fn removal_is_told(
    shared: &Shared,
    conversation: &Conversation,
    sender: UserId,
) -> Result<(), Failure> {
    let member = || {
        shared.db.read("look_up.member", |tx| async move {
            access::role(&tx, conversation, sender).await
        })
    };
    if conversation.admits(sender).is_some()
        || member().await?.is_some()
        || outbox::is_told(&shared.db).await?
    {
        return Ok(());
    }
    Err(Failure::Wire(
        WireError::new(
            Code::Unavailable,
            "the last changes of this conversation are not stored yet; try again soon",
        )
        .retry_after_ms(1_000),
    ))
}
