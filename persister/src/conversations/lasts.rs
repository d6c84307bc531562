//! The heads of one user from the stream itself: for a shard of which more lies beyond the watermark
//! than is kept in memory, because the persister or Postgres was away. It costs nats-server a walk over
//! all subjects of the stream.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use natterjack_nats::{
    Conversation, GroupId, Shard, Shards, UserId,
    direct::{self, Batch, Bounds, DirectError},
    subjects,
    topology::chat_stream,
};

use crate::recent::{Head, head};

const TIMEOUT: Duration = Duration::from_secs(3);
/// Heads per request, and requests per shard: the server answers for at most 1,024 subjects.
const HEADS: usize = 256;
const HEAD_REQUESTS: usize = 5;
/// Requests for all messages of a wildcard.
const READ_REQUESTS: usize = 20;
/// Subjects that are named in one request.
const SUBJECTS_MAX: usize = 1_000;
const BYTES: usize = 1 << 20;
/// Messages of one conversation that are read to bring its summary up to date.
const MESSAGES: usize = 200;

/// The last message of each conversation.
#[derive(Debug)]
pub struct Lasts {
    /// By conversation.
    pub heads: BTreeMap<Conversation, Head>,
    /// Whether these are all.
    pub complete: bool,
}

impl Lasts {
    /// None, and these are all.
    const fn of_nothing() -> Self {
        Self {
            heads: BTreeMap::new(),
            complete: true,
        }
    }
}

/// Reads those of a user in one shard that lie beyond `after`.
///
/// # Errors
/// The shard does not answer.
pub async fn of_shard(
    client: &Client,
    shards: Shards,
    shard: Shard,
    after: u64,
    user: UserId,
    groups: &[GroupId],
) -> Result<Lasts, DirectError> {
    let filters = subjects::chat::of_user(shards, shard, user, groups.iter().copied());
    let reader = Reader {
        client,
        shards,
        stream: chat_stream(shard),
        from: after + 1,
    };
    let mut heads = Lasts::of_nothing();
    match reader.lasts(&filters, &mut heads).await {
        Err(DirectError::TooMany) => {}
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
    let mut heads = Lasts::of_nothing();
    for some in subjects.chunks(SUBJECTS_MAX) {
        reader.lasts(some, &mut heads).await?;
    }
    Ok(heads.heads.into_keys().collect())
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
    async fn lasts(&self, filters: &[String], heads: &mut Lasts) -> Result<(), DirectError> {
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
    async fn all(&self, wildcard: &str, heads: &mut Lasts) -> Result<(), DirectError> {
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
    fn take(&self, batch: &Batch, heads: &mut Lasts) -> Option<u64> {
        for message in &batch.messages {
            if let Some(conversation) = subjects::chat::parse(self.shards, &message.subject) {
                heads.heads.insert(conversation, head(self.shards, message));
            }
        }
        let last = batch.messages.last()?;
        batch.more.then_some(last.seq + 1)
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
