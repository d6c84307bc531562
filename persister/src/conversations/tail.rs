//! What the streams hold beyond the watermarks: messages that Postgres does not have yet.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use futures::future::try_join_all;
use natterjack_nats::{
    Conversation, GroupId, Shard, Shards, UserId,
    direct::{self, Batch, Bounds, Direct, DirectError},
    limits::UNREAD_MAX,
    subjects,
    topology::chat_stream,
    wire::{ConversationSummary, Kind, Preview, Stored},
};

use super::rows::PREVIEW_CHARS;
use crate::ingest::decode;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Heads per request, and requests per shard: the server answers for at most 1,024 subjects.
const HEADS: usize = 256;
const HEAD_REQUESTS: usize = 5;
/// Requests for all messages of a wildcard: far more than a persister that keeps up leaves behind.
const READ_REQUESTS: usize = 20;
/// Subjects that are named in one request.
const SUBJECTS_MAX: usize = 1_000;
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

impl Heads {
    /// None, and these are all.
    const fn of_nothing() -> Self {
        Self {
            heads: BTreeMap::new(),
            complete: true,
        }
    }
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
    let mut all = Heads::of_nothing();
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
    let reader = Reader {
        client,
        shards,
        stream: chat_stream(shard),
        from: after + 1,
    };
    let mut heads = Heads::of_nothing();
    match reader.lasts(&filters, &mut heads).await {
        Err(DirectError::Refused(_)) => {}
        result => return result.map(|()| heads),
    }
    // The user has more subjects in the stream than the server answers for, new and old alike: those
    // that are named come a part at a time, and of the others all messages beyond the watermark.
    let (wildcards, named): (Vec<String>, Vec<String>) =
        filters.into_iter().partition(|filter| filter.contains('*'));
    for some in named.chunks(SUBJECTS_MAX) {
        reader.lasts(some, &mut heads).await?;
    }
    for wildcard in &wildcards {
        reader.all(wildcard, &mut heads).await?;
    }
    Ok(heads)
}

/// Reads one shard beyond its watermark.
struct Reader<'a> {
    client: &'a Client,
    shards: Shards,
    stream: String,
    from: u64,
}

impl Reader<'_> {
    const BOUNDS: Bounds = Bounds {
        messages: HEADS,
        bytes: BYTES,
        timeout: TIMEOUT,
    };

    /// The last message of each subject.
    async fn lasts(&self, filters: &[String], heads: &mut Heads) -> Result<(), DirectError> {
        let mut from = self.from;
        for _ in 0..HEAD_REQUESTS {
            let batch =
                direct::last_by_subject_from(self.client, &self.stream, filters, from, Self::BOUNDS).await?;
            // Subjects that were written to while the batches went by come again, with their new
            // head.
            match self.take(&batch, heads) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
        heads.complete = false;
        Ok(())
    }

    /// All messages of a wildcard, of which the last of each subject stays.
    async fn all(&self, wildcard: &str, heads: &mut Heads) -> Result<(), DirectError> {
        let mut from = self.from;
        for _ in 0..READ_REQUESTS {
            let batch =
                direct::next_by_subject(self.client, &self.stream, wildcard, from, Self::BOUNDS).await?;
            match self.take(&batch, heads) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
        heads.complete = false;
        Ok(())
    }

    /// Where to go on, if there is more.
    fn take(&self, batch: &Batch, heads: &mut Heads) -> Option<u64> {
        for message in &batch.messages {
            if let Some(conversation) = subjects::chat::parse(self.shards, &message.subject) {
                heads.heads.insert(conversation, head(self.shards, message));
            }
        }
        let last = batch.messages.last()?;
        batch.more.then_some(last.seq + 1)
    }
}

/// As the ingest sees it: what will be a dead letter is no preview.
fn head(shards: Shards, message: &Direct) -> Head {
    let entry = decode::decode(shards, &message.subject, message.seq, &message.payload);
    let mut stored = entry.ok().map(|entry| entry.stored);
    // Of a user's many conversations only the previews are wanted.
    if let Some(text) = stored.as_mut().and_then(|stored| stored.text.as_mut()) {
        *text = shortened(text);
    }
    Head {
        seq: message.seq,
        stored,
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
    Ok(batch
        .messages
        .iter()
        .map(|message| head(shards, message))
        .collect())
}

/// Those of a shard's conversations that have a message beyond `after`.
///
/// # Errors
/// The shard does not answer.
pub async fn with_messages(
    client: &Client,
    shards: Shards,
    shard: Shard,
    conversations: &[Conversation],
    after: u64,
) -> Result<Vec<Conversation>, DirectError> {
    let subjects = conversations
        .iter()
        .map(|conversation| subjects::chat::subject(shards, conversation));
    let subjects: Vec<_> = subjects.collect();
    let reader = Reader {
        client,
        shards,
        stream: chat_stream(shard),
        from: after + 1,
    };
    let mut heads = Heads::of_nothing();
    for some in subjects.chunks(SUBJECTS_MAX) {
        reader.lasts(some, &mut heads).await?;
    }
    Ok(heads.heads.into_keys().collect())
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
            // An edit by somebody else has no effect, and one of a deleted message neither. In a
            // group others may delete as well.
            let in_group = matches!(stored.conversation, Conversation::Group(_));
            if let Some(last) = target {
                match stored.kind {
                    Kind::Edit if last.sender == stored.sender && last.text.is_some() => last.text = text(),
                    Kind::Delete if in_group || last.sender == stored.sender => last.text = None,
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
    fn what_the_ingest_refuses_is_no_preview() {
        let shards = Shards::new(4).expect("in range");
        let me = UserId::from_parts(1, 1);
        let conversation = Conversation::dm(me, me);
        let of = |text: &str| {
            let content = Content::Text {
                text: text.into(),
                reply_to: None,
            };
            let stored = Stored::new(conversation, MessageId::generate(1), me, 1, content);
            let direct = Direct {
                subject: subjects::chat::subject(shards, &conversation),
                seq: 7,
                payload: serde_json::to_vec(&stored).expect("plain").into(),
                headers: async_nats::HeaderMap::new(),
            };
            let head = head(shards, &direct);
            assert_eq!(head.seq, 7);
            head.stored.and_then(|stored| stored.text)
        };
        assert_eq!(of("a\0b"), None);
        assert_eq!(of(&"é".repeat(300)), Some("é".repeat(PREVIEW_CHARS)));
    }

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
