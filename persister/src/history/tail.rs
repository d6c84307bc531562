//! The part of a conversation that a stream has and Postgres may not have yet.

use std::time::Duration;

use natterjack_nats::{
    Conversation,
    direct::{self, Bounds, DirectError},
    headers::Position,
    subjects::chat,
    topology,
    wire::Message,
};

use crate::{Shared, ingest::decode};

/// Of one read.
pub const TIMEOUT: Duration = Duration::from_secs(3);
const CHUNK_MESSAGES: usize = 250;
const CHUNK_BYTES: usize = 1024 * 1024;

/// Messages of one conversation, ascending, without `prev`.
#[derive(Debug, Default)]
pub struct Tail {
    /// Those that were read.
    pub messages: Vec<Message>,
    /// Whether there are more behind them.
    pub more: bool,
    /// Where to go on.
    pub next: u64,
}

/// How much of a tail is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// By count.
    pub messages: usize,
    /// By bytes, about.
    pub bytes: usize,
}

/// Reads from sequence `from` on, in chunks, as long as there is more and `most` is not reached.
pub async fn read(
    shared: &Shared,
    conversation: &Conversation,
    from: u64,
    most: Most,
) -> Result<Tail, DirectError> {
    let (mut tail, mut seen, mut bytes) = (Tail::default(), 0, 0);
    tail.next = from;
    loop {
        let chunk = chunk(shared, conversation, tail.next, most.messages - seen).await?;
        seen += chunk.seen;
        bytes += chunk.bytes;
        tail.messages.extend(chunk.tail.messages);
        (tail.next, tail.more) = (chunk.tail.next, chunk.tail.more);
        if !tail.more || seen >= most.messages || bytes >= most.bytes {
            return Ok(tail);
        }
    }
}

/// One read.
pub struct Chunk {
    pub tail: Tail,
    /// Messages, those that do not decode too.
    pub seen: usize,
    /// Bytes of their payloads.
    pub bytes: usize,
}

/// Reads once, at most `most` messages. What does not decode is a dead letter and no message.
pub async fn chunk(
    shared: &Shared,
    conversation: &Conversation,
    from: u64,
    most: usize,
) -> Result<Chunk, DirectError> {
    let stream = topology::chat_stream(shared.shards.of(conversation));
    let subject = chat::subject(shared.shards, conversation);
    let bounds = Bounds {
        messages: most.clamp(1, CHUNK_MESSAGES),
        bytes: CHUNK_BYTES,
        timeout: TIMEOUT,
    };
    let batch = direct::next_by_subject(&shared.client, &stream, &subject, from, bounds).await?;
    let decoded = batch.messages.iter().filter_map(|direct| {
        let entry = decode::decode(shared.shards, &direct.subject, direct.seq, &direct.payload).ok()?;
        Some(entry.stored.at(Position {
            seq: direct.seq,
            prev: 0,
        }))
    });
    Ok(Chunk {
        tail: Tail {
            messages: decoded.collect(),
            more: batch.more && !batch.messages.is_empty(),
            next: batch.messages.last().map_or(from, |last| last.seq + 1),
        },
        seen: batch.messages.len().max(1),
        bytes: batch.messages.iter().map(|direct| direct.payload.len()).sum(),
    })
}

/// The sequence of the conversation's last message in the stream; 0 if it holds none.
pub async fn head(shared: &Shared, conversation: &Conversation) -> Result<u64, DirectError> {
    let stream = topology::chat_stream(shared.shards.of(conversation));
    let filters = [chat::subject(shared.shards, conversation)];
    let bounds = Bounds {
        messages: 1,
        bytes: CHUNK_BYTES,
        timeout: TIMEOUT,
    };
    let batch = direct::last_by_subject(&shared.client, &stream, &filters, bounds).await?;
    Ok(batch.messages.first().map_or(0, |last| last.seq))
}
