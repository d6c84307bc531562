//! What the streams hold beyond the watermarks: messages that Postgres does not have yet.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use futures::future::try_join_all;
use natterjack_nats::{
    Conversation, GroupId, Shard, Shards, UserId,
    direct::{self, Bounds, Direct, DirectError},
    limits::UNREAD_MAX,
    subjects,
    topology::chat_stream,
    wire::{ConversationSummary, Kind, Preview, Stored},
};

use super::rows::PREVIEW_CHARS;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Heads per request, and requests per shard: the server answers for at most 1,024 subjects.
const HEADS: usize = 256;
const HEAD_REQUESTS: usize = 5;
const BYTES: usize = 1 << 20;
/// Messages of one conversation that are read to bring its summary up to date.
const MESSAGES: usize = 200;

/// The last message of each conversation of a user that has one beyond the watermarks.
#[derive(Debug, Default)]
pub struct Heads {
    /// By conversation.
    pub heads: BTreeMap<Conversation, Head>,
    /// Whether these are all.
    pub complete: bool,
}

/// A conversation's last message.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its place.
    pub seq: u64,
    /// The message, unless it cannot be decoded.
    pub stored: Option<Stored>,
}

/// Reads the heads beyond the watermarks, which were captured before Postgres was asked.
///
/// # Errors
/// A shard does not answer.
pub async fn heads(
    client: &Client,
    shards: Shards,
    watermarks: &[u64],
    user: UserId,
    groups: &[GroupId],
) -> Result<Heads, DirectError> {
    let asked = shards.all().map(|shard| {
        let after = watermarks.get(shard.index()).copied().unwrap_or_default();
        of_shard(client, shards, shard, after, user, groups)
    });
    let mut all = Heads {
        heads: BTreeMap::new(),
        complete: true,
    };
    for shard in try_join_all(asked).await? {
        all.heads.extend(shard.heads);
        all.complete &= shard.complete;
    }
    Ok(all)
}

async fn of_shard(
    client: &Client,
    shards: Shards,
    shard: Shard,
    after: u64,
    user: UserId,
    groups: &[GroupId],
) -> Result<Heads, DirectError> {
    let filters = subjects::chat::of_user(shards, shard, user, groups.iter().copied());
    let (stream, mut from) = (chat_stream(shard), after + 1);
    let bounds = Bounds {
        messages: HEADS,
        bytes: BYTES,
        timeout: TIMEOUT,
    };
    let mut heads = Heads::default();
    for _ in 0..HEAD_REQUESTS {
        let batch = match direct::last_by_subject_from(client, &stream, &filters, from, bounds).await {
            Ok(batch) => batch,
            // More subjects than the server answers for: the caller says that it is not all.
            Err(DirectError::Refused(_)) => return Ok(heads),
            Err(error) => return Err(error),
        };
        // Subjects that were written to while the batches went by come again, with their new head.
        for message in &batch.messages {
            let Some(conversation) = subjects::chat::parse(shards, &message.subject) else {
                continue;
            };
            from = from.max(message.seq + 1);
            heads.heads.insert(conversation, head(message));
        }
        if !batch.more || batch.messages.is_empty() {
            heads.complete = true;
            return Ok(heads);
        }
    }
    Ok(heads)
}

fn head(message: &Direct) -> Head {
    Head {
        seq: message.seq,
        stored: serde_json::from_slice(&message.payload).ok(),
    }
}

/// The messages of one conversation from `from` on, bounded.
///
/// # Errors
/// The shard does not answer.
pub async fn messages(
    client: &Client,
    shards: Shards,
    conversation: &Conversation,
    from: u64,
) -> Result<Vec<Head>, DirectError> {
    let subject = subjects::chat::subject(shards, conversation);
    let bounds = Bounds {
        messages: MESSAGES,
        bytes: BYTES,
        timeout: TIMEOUT,
    };
    let stream = chat_stream(shards.of(conversation));
    let batch = direct::next_by_subject(client, &stream, &subject, from, bounds).await?;
    Ok(batch.messages.iter().map(head).collect())
}

/// Brings a summary up to date with the next message of its conversation, as seen by `user`.
pub fn apply(summary: &mut ConversationSummary, user: UserId, head: &Head) {
    if head.seq <= summary.head {
        return;
    }
    summary.head = head.seq;
    let Some(stored) = &head.stored else {
        return;
    };
    let text = || stored.text.as_deref().map(shortened);
    match stored.kind {
        Kind::Text | Kind::Event => {
            if stored.kind == Kind::Text && stored.sender != user && head.seq > summary.cursor.read {
                summary.unread = UNREAD_MAX.min(summary.unread + 1);
            }
            summary.last_message = Some(Preview {
                seq: head.seq,
                id: stored.id,
                sender: stored.sender,
                sent_at: stored.sent_at,
                kind: stored.kind,
                text: text(),
            });
        }
        Kind::Edit | Kind::Delete => {
            let target = summary
                .last_message
                .as_mut()
                .filter(|last| Some(last.seq) == stored.target && last.kind == Kind::Text);
            // An edit by somebody else has no effect, and one of a deleted message neither.
            if let Some(last) = target {
                match stored.kind {
                    Kind::Edit if last.sender == stored.sender && last.text.is_some() => last.text = text(),
                    Kind::Delete if last.sender == stored.sender => last.text = None,
                    _ => {}
                }
            }
        }
        Kind::Duplicate => {}
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{MessageId, wire::Content};

    use super::*;

    #[test]
    fn a_summary_follows_its_conversation() {
        let (me, other) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        let conversation = Conversation::dm(me, other);
        let mut summary = ConversationSummary {
            conversation,
            head: 4,
            last_message: None,
            unread: 1,
            cursor: natterjack_nats::wire::Cursor::default(),
            title: None,
            role: None,
            member_count: None,
            peer: None,
            peer_cursor: None,
        };
        let mut next = |seq, sender, content| {
            let stored = Stored::new(conversation, MessageId::generate(seq), sender, seq, content);
            let stored = Some(stored);
            apply(&mut summary, me, &Head { seq, stored });
            let text = summary.last_message.as_ref().and_then(|last| last.text.clone());
            (summary.head, summary.unread, text.unwrap_or_default())
        };
        let text = |text: &str| Content::Text {
            text: text.into(),
            reply_to: None,
        };
        let edit = |target, text: &str| Content::Edit {
            target,
            text: text.into(),
        };
        // What Postgres had already changes nothing.
        assert_eq!(next(4, other, text("old")), (4, 1, String::new()));
        assert_eq!(next(5, other, text("a")), (5, 2, "a".into()));
        assert_eq!(next(6, me, edit(5, "mine")), (6, 2, "a".into()));
        assert_eq!(next(7, other, edit(5, "b")), (7, 2, "b".into()));
        assert_eq!(
            next(8, other, Content::Delete { target: 5 }),
            (8, 2, String::new())
        );
        assert_eq!(next(9, other, edit(5, "c")), (9, 2, String::new()));
        assert_eq!(next(10, me, text(&"é".repeat(300))), (10, 2, "é".repeat(200)));
    }
}
