//! Reads the stream of receipts to its end, again and again.
//!
//! No consumer: its leader says how far the stream reaches, and it is read until that was seen. So it is
//! known, and not hoped, that nothing is missing up to a moment; and a connection that broke needs no
//! attention of its own.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self,
        stream::{RawMessageErrorKind, Stream},
    },
};
use natterjack_nats::{
    direct::{self, Bounds, DirectError},
    subjects::receipt,
    topology::RECEIPTS,
    wire::ReceiptBatch,
};
use serde::Deserialize;

use super::OutcomeError;

/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Most batches of one page. The largest is about 130 KB.
const PAGE_MAX: usize = 500;
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How often a replica is asked again that is behind its leader.
const TRIES: usize = 8;
const BEHIND_PAUSE: Duration = Duration::from_millis(25);

/// How far the stream has come, as its leader says.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The leader's time, Unix milliseconds.
    pub now_ms: u64,
    first_seq: u64,
    first_ms: u64,
    last_seq: u64,
    last_ms: u64,
}

/// One batch of receipts, and when it was stored, Unix milliseconds by the server.
pub type Told = (u64, ReceiptBatch);

/// Where the reader stands.
#[derive(Debug)]
pub struct Reader {
    client: Client,
    stream: Stream<()>,
    /// The next sequence; 0 before the first read.
    next: u64,
}

/// From where on everything is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// As before.
    Before,
    /// From this time on, and nothing of before: Unix milliseconds.
    Anew(u64),
}

impl Reader {
    /// Of the stream that this connection reaches.
    ///
    /// # Errors
    /// The name of the stream is refused.
    pub async fn open(client: Client) -> Result<Self, OutcomeError> {
        let context = jetstream::new(client.clone());
        let stream = context.get_stream_no_info(RECEIPTS).await;
        let stream = stream.map_err(|error| OutcomeError::Stream(error.to_string()))?;
        Ok(Self {
            client,
            stream,
            next: 0,
        })
    }

    /// Forgets where it stands.
    pub const fn start_over(&mut self) {
        self.next = 0;
    }

    /// What the leader says.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn head(&self) -> Result<Head, OutcomeError> {
        /// Of `$JS.API.STREAM.INFO`; async-nats leaves the time out.
        #[derive(Deserialize)]
        struct Info {
            ts: String,
            state: State,
        }
        #[derive(Deserialize)]
        struct State {
            first_seq: u64,
            first_ts: String,
            last_seq: u64,
            last_ts: String,
        }
        let request = self
            .client
            .request(format!("$JS.API.STREAM.INFO.{RECEIPTS}"), "".into());
        let reply = tokio::time::timeout(READ_TIMEOUT, request).await;
        let reply = reply.map_err(|_| DirectError::Timeout)?;
        let reply = reply.map_err(|error| OutcomeError::Stream(error.to_string()))?;
        let info: Info = serde_json::from_slice(&reply.payload).map_err(|_| {
            OutcomeError::Stream("there is no stream RECEIPTS: run `natterjack provision`".into())
        })?;
        let ms = |text: &str| direct::rfc3339_ms(text).unwrap_or(0);
        Ok(Head {
            now_ms: ms(&info.ts),
            first_seq: info.state.first_seq,
            first_ms: ms(&info.state.first_ts),
            last_seq: info.state.last_seq,
            last_ms: ms(&info.state.last_ts),
        })
    }

    /// Puts itself in place: at the first receipt since `since_ms` at the beginning, and behind what the
    /// stream has lost if that was not read yet.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn place(&mut self, head: &Head, since_ms: u64) -> Result<Since, OutcomeError> {
        // The stream may have been made anew.
        if self.next == 0 || head.last_seq + 1 < self.next {
            let first = direct::first_since(&self.client, RECEIPTS, since_ms, READ_TIMEOUT).await?;
            self.next = match first {
                Some(first) => first.seq,
                None if head.last_ms >= since_ms && head.first_seq <= head.last_seq => {
                    return Err(OutcomeError::Behind);
                }
                None => head.last_seq + 1,
            };
            let whole = head.first_seq <= 1;
            return Ok(Since::Anew(if whole {
                since_ms
            } else {
                since_ms.max(head.first_ms)
            }));
        }
        if head.first_seq > self.next {
            // Dropped before it was read: by the bound in bytes, or by age while NATS was away.
            self.next = head.first_seq;
            return Ok(Since::Anew(head.first_ms));
        }
        Ok(Since::Before)
    }

    /// The next page up to this head; `None` once there was all.
    ///
    /// # Errors
    /// NATS did not answer, or only replicas that are behind.
    pub async fn page(&mut self, head: &Head) -> Result<Option<Vec<Told>>, OutcomeError> {
        let bounds = Bounds {
            messages: PAGE_MAX,
            bytes: PAGE_BYTES_MAX,
            timeout: READ_TIMEOUT,
        };
        for _ in 0..TRIES {
            if self.next > head.last_seq {
                return Ok(None);
            }
            let batch = direct::next(&self.client, RECEIPTS, self.next, bounds).await?;
            let Some(last) = batch.messages.last() else {
                // A replica that is behind says the same as one where the rest was removed.
                self.skip(head).await?;
                tokio::time::sleep(BEHIND_PAUSE).await;
                continue;
            };
            self.next = last.seq + 1;
            let told = batch.messages.iter().filter_map(|message| {
                match serde_json::from_slice(&message.payload) {
                    Ok(batch) => Some((message.stored_at_ms(), batch)),
                    Err(error) => {
                        tracing::error!(receipts.seq = message.seq, %error, "receipts do not decode; ignoring them");
                        None
                    }
                }
            });
            return Ok(Some(told.collect()));
        }
        Err(OutcomeError::Behind)
    }

    /// Behind what the leader itself does not have any more.
    async fn skip(&mut self, head: &Head) -> Result<(), OutcomeError> {
        let next = self
            .stream
            .get_first_raw_message_by_subject(receipt::ALL, self.next);
        match next.await {
            Ok(message) => self.next = message.sequence,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                self.next = head.last_seq + 1;
            }
            Err(error) => return Err(OutcomeError::Stream(error.to_string())),
        }
        Ok(())
    }
}
