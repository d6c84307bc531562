//! JetStream Direct Get, single and batched (ADR-31): reading near a stream's tail without a
//! consumer. async-nats has no wrapper for the batched form.
//!
//! Every read is bounded in count, bytes and time: an unbounded batch may send 64 MB with no flow
//! control.

mod lasts;

use std::time::Duration;

use async_nats::{Client, HeaderMap, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
pub use lasts::lasts;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Every subject of a stream.
const EVERYTHING: &str = ">";

/// A stored message.
#[derive(Debug, Clone)]
pub struct Direct {
    /// The subject that it was stored on.
    pub subject: String,
    /// Its sequence in the stream.
    pub seq: u64,
    /// Its payload.
    pub payload: Bytes,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Direct {
    /// When it was stored, by the server's clock, Unix milliseconds; 0 if the server does not say.
    #[must_use]
    pub fn stored_at_ms(&self) -> u64 {
        let stored = self.headers.get(TIME_STAMP);
        stored.and_then(|text| rfc3339_ms(text.as_str())).unwrap_or(0)
    }
}

/// A time as the server writes it (RFC 3339), in Unix milliseconds.
#[must_use]
pub fn rfc3339_ms(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

const TIME_STAMP: &str = "Nats-Time-Stamp";

/// What a batched read gave.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In the order of the stream.
    pub messages: Vec<Direct>,
    /// Whether the bounds cut it off: there is more.
    pub more: bool,
    /// How far the stream was, on the server that answered, when it took the last message of each
    /// subject: it saw every message up to this sequence. Only [`last_by_subject`] says so, and only
    /// if something matched.
    pub up_to: Option<u64>,
    /// How many more, as the server counts them.
    pub left: u64,
}

/// Bounds of a batched read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// At most so many messages.
    pub messages: usize,
    /// About so many bytes: the server stops once it has passed them.
    pub bytes: usize,
    /// The answer must be complete by then.
    pub timeout: Duration,
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DirectError {
    /// No server answered in time.
    #[error("JetStream did not answer a direct get in time")]
    Timeout,
    /// There is no such stream, or no leader that answers.
    #[error("nobody answers for the stream")]
    NoResponders,
    /// The connection is gone.
    #[error("the connection to NATS is gone: {0}")]
    Connection(String),
    /// The filters match more subjects than the server answers for.
    #[error("more subjects match than JetStream answers for at once")]
    TooMany,
    /// The server refused.
    #[error("JetStream refused a direct get: {0}")]
    Refused(String),
}

#[derive(Debug, Default, Serialize)]
struct GetRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_last: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<usize>,
}

/// The message with this sequence; `None` if the stream does not have it (any more).
///
/// # Errors
/// [`DirectError`].
pub async fn get(
    client: &Client,
    stream: &str,
    seq: u64,
    timeout: Duration,
) -> Result<Option<Direct>, DirectError> {
    let request = GetRequest {
        seq: Some(seq),
        ..GetRequest::default()
    };
    let bounds = Bounds {
        messages: 1,
        bytes: usize::MAX,
        timeout,
    };
    Ok(read(client, stream, &request, bounds).await?.messages.pop())
}

/// The messages on `subject`, which may hold wildcards, from sequence `from` on.
///
/// # Errors
/// [`DirectError`].
pub async fn next_by_subject(
    client: &Client,
    stream: &str,
    subject: &str,
    from: u64,
    bounds: Bounds,
) -> Result<Batch, DirectError> {
    let request = GetRequest {
        seq: Some(from.max(1)),
        next_by_subj: Some(subject),
        batch: Some(bounds.messages),
        max_bytes: Some(bounds.bytes),
        ..GetRequest::default()
    };
    read(client, stream, &request, bounds).await
}

/// All messages from sequence `from` on. Near the end of a stream this costs what it reads: with any
/// filter but this, nats-server looks at the subjects of the whole block to count what is left.
///
/// # Errors
/// [`DirectError`].
pub async fn next(client: &Client, stream: &str, from: u64, bounds: Bounds) -> Result<Batch, DirectError> {
    next_by_subject(client, stream, EVERYTHING, from, bounds).await
}

/// The last message on each subject that one of `filters` matches. The server answers for at most
/// 1,024 subjects; see [`lasts`].
///
/// # Errors
/// [`DirectError`].
pub async fn last_by_subject(
    client: &Client,
    stream: &str,
    filters: &[String],
    bounds: Bounds,
) -> Result<Batch, DirectError> {
    last_by_subject_from(client, stream, filters, 1, bounds).await
}

/// The same, without the messages before sequence `from`; ascending. If the bounds cut it off,
/// go on from the sequence after the last.
///
/// # Errors
/// [`DirectError`].
pub async fn last_by_subject_from(
    client: &Client,
    stream: &str,
    filters: &[String],
    from: u64,
    bounds: Bounds,
) -> Result<Batch, DirectError> {
    let request = GetRequest {
        seq: Some(from.max(1)),
        multi_last: Some(filters),
        batch: Some(bounds.messages),
        max_bytes: Some(bounds.bytes),
        ..GetRequest::default()
    };
    read(client, stream, &request, bounds).await
}

/// The first message that was stored at or after a time, Unix milliseconds; `None` if all are
/// older.
///
/// # Errors
/// [`DirectError`].
pub async fn first_since(
    client: &Client,
    stream: &str,
    unix_ms: u64,
    timeout: Duration,
) -> Result<Option<Direct>, DirectError> {
    let since = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|since| since.format(&Rfc3339).ok())
        .ok_or_else(|| DirectError::Refused("a time beyond the year 9999".into()))?;
    let request = GetRequest {
        start_time: Some(&since),
        next_by_subj: Some(EVERYTHING),
        batch: Some(1),
        ..GetRequest::default()
    };
    let bounds = Bounds {
        messages: 1,
        bytes: usize::MAX,
        timeout,
    };
    Ok(read(client, stream, &request, bounds).await?.messages.pop())
}

async fn read(
    client: &Client,
    stream: &str,
    request: &GetRequest<'_>,
    bounds: Bounds,
) -> Result<Batch, DirectError> {
    let connection = |error: &dyn std::fmt::Display| DirectError::Connection(error.to_string());
    let payload = serde_json::to_vec(request).map_err(|error| DirectError::Refused(error.to_string()))?;
    let inbox = client.new_inbox();
    let mut replies = client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| connection(&error))?;
    client
        .publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, payload.into())
        .await
        .map_err(|error| connection(&error))?;
    let single = request.batch.is_none();
    let collect = async {
        let mut batch = Batch::default();
        while let Some(reply) = replies.next().await {
            if !single && !follows(reply.headers.as_ref(), batch.messages.last()) {
                return Err(DirectError::Connection("a part of the answer was lost".into()));
            }
            match reply.status {
                None | Some(StatusCode::OK) => {}
                Some(StatusCode::NOT_FOUND) => return Ok(batch),
                Some(StatusCode::NO_RESPONDERS) => return Err(DirectError::NoResponders),
                // End of batch: how many more there are stands in its headers.
                Some(status) if status.as_u16() == 204 => {
                    let header = |name| {
                        let headers = reply.headers.as_ref()?;
                        headers.get(name).map(async_nats::HeaderValue::as_str)
                    };
                    let left = header("Nats-Num-Pending").and_then(|left| left.parse().ok());
                    batch.left = left.unwrap_or_default();
                    batch.more = batch.left > 0;
                    batch.up_to = header("Nats-UpTo-Sequence").and_then(|seq| seq.parse().ok());
                    return Ok(batch);
                }
                Some(status) if status.as_u16() == 413 => return Err(DirectError::TooMany),
                Some(status) => {
                    return Err(DirectError::Refused(format!(
                        "{status} {}",
                        reply.description.unwrap_or_default()
                    )));
                }
            }
            batch.messages.push(message(reply)?);
            if single {
                return Ok(batch);
            }
        }
        Err(DirectError::Connection("closed".into()))
    };
    tokio::time::timeout(bounds.timeout, collect)
        .await
        .map_err(|_| DirectError::Timeout)?
}

/// Whether a reply of a batch is the one right after `last`. A connection that breaks off and comes
/// back in the middle of a batch loses a part of it and still hears its end; without this, that
/// part would look like nothing. An error names nothing before it.
fn follows(headers: Option<&HeaderMap>, last: Option<&Direct>) -> bool {
    let before = headers.and_then(|headers| headers.get("Nats-Last-Sequence"));
    before.is_none_or(|before| before.as_str().parse() == Ok(last.map_or(0, |last| last.seq)))
}

fn message(reply: async_nats::Message) -> Result<Direct, DirectError> {
    let headers = reply.headers.unwrap_or_default();
    let text = |name| {
        headers
            .get(name)
            .map(|value: &async_nats::HeaderValue| value.as_str())
    };
    let (Some(subject), Some(Ok(seq))) = (text("Nats-Subject"), text("Nats-Sequence").map(str::parse)) else {
        return Err(DirectError::Refused(
            "an answer without subject and sequence".into(),
        ));
    };
    Ok(Direct {
        subject: subject.into(),
        seq,
        payload: reply.payload,
        headers,
    })
}
