//! What a stream has and the database lost is written again, as it was the first time.

use std::time::Duration;

use async_nats::jetstream::stream::LastRawMessageErrorKind;
use natterjack_nats::{
    Shard,
    direct::{self, Bounds, Direct},
};
use tokio::time::sleep;

use super::{Look, Marks, MarksError, reopen::ERA, store::Mark};
use crate::{
    db::{DbError, TxError as _},
    failure::Failure,
    ingest::{
        Sink,
        dead_letters::{self, Letter},
        messages::Messages,
    },
    receipts::Receipts,
};

const PAGE: Bounds = Bounds {
    messages: 500,
    bytes: 4 << 20,
    timeout: Duration::from_secs(10),
};
/// How often a page that is empty is asked for again while the leader has more: a replica may lag.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Up to where the database has come in the era that the stream is in, and how many sequences that were
/// handed out since are in neither.
fn missing(look: &Look, mark: Mark) -> (u64, u64) {
    let era = look.first.saturating_sub(1) / ERA * ERA;
    let known = mark.head.max(mark.floor).max(era);
    let gap = look.first.saturating_sub(known + 1);
    (known, gap.min(look.delivered.saturating_sub(known)))
}

impl Marks {
    /// Reads what lies between the mark and what the consumer has handed out. Until that is done nobody takes
    /// the database for complete beyond the mark.
    pub(super) async fn reread(
        &self,
        shard: Option<Shard>,
        name: &str,
        mark: Mark,
    ) -> Result<(), MarksError> {
        // Looked at anew: what was acked before the database was this one is handed out by now.
        let look = &Look::at(&self.shared.jetstream, shard, name.to_owned()).await?;
        if look.delivered <= mark.floor {
            return Ok(());
        }
        let Some(shard) = shard else {
            let sink = Receipts::new(&self.shared);
            return self.copy(&sink, look, mark).await;
        };
        let (known, missing) = missing(look, mark);
        if missing > 0 {
            tracing::error!(
                stream.name = look.name,
                database.head = known,
                stream.first = look.first,
                missing,
                "the database is older than the tail of the stream: these messages are in neither. Put back \
                 a younger backup if there is one"
            );
        }
        self.missing
            .get_or_create(&[("shard", shard.to_string())])
            .set(missing.cast_signed());
        self.shared.watermarks.hold_at(shard, mark.floor);
        let sink = Messages::new(&self.shared, shard, self.ingest.clone());
        let copied = self.copy(&sink, look, mark).await;
        if copied.is_ok() {
            self.shared.watermarks.release(shard);
        }
        copied
    }

    async fn copy<S: Sink>(&self, sink: &S, look: &Look, mark: Mark) -> Result<(), MarksError> {
        let failed = |why: Failure| MarksError::Reread {
            stream: look.name.clone(),
            why,
        };
        let (mut next, to) = ((mark.floor + 1).max(look.first), look.delivered);
        let (mut count, mut tries) = (0_usize, TRIES);
        while next <= to {
            let page = direct::next(&self.shared.client, &look.name, next, PAGE).await;
            let mut page = page.map_err(|error| failed(error.into()))?.messages;
            let Some(last) = page.last().map(|message| message.seq) else {
                if self.has_none_from(&look.name, next).await.map_err(failed)? {
                    break;
                }
                tries -= 1;
                if tries == 0 {
                    let why = "the server that answers lags behind the leader; is the cluster whole?";
                    return Err(failed(Failure::internal(why)));
                }
                sleep(PAUSE).await;
                continue;
            };
            tries = TRIES;
            next = last + 1;
            page.retain(|message| message.seq <= to);
            count += page.len();
            self.write(sink, &look.name, &page).await.map_err(failed)?;
        }
        if count > 0 {
            tracing::info!(
                stream.name = look.name,
                stream.from = mark.floor + 1,
                stream.to = to,
                messages = count,
                "read again what the database may not have"
            );
        }
        Ok(())
    }

    /// Whether the leader itself has nothing from there on. Any replica answers a direct get, also one that
    /// lags.
    async fn has_none_from(&self, stream: &str, seq: u64) -> Result<bool, Failure> {
        let stream = self.shared.jetstream.get_stream_no_info(stream).await;
        let stream = stream.map_err(Failure::internal)?;
        match stream.get_first_raw_message_by_subject(">", seq).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(true),
            Err(error) => Err(Failure::internal(error)),
        }
    }

    async fn write<S: Sink>(&self, sink: &S, stream: &str, page: &[Direct]) -> Result<(), Failure> {
        let (mut items, mut of) = (Vec::new(), Vec::new());
        for message in page {
            match sink.decode(&message.subject, message.seq, &message.payload) {
                Ok(Some(item)) => {
                    items.push(item);
                    of.push(message);
                }
                Ok(None) => {}
                Err(poison) => self.bury(stream, message, &poison.to_string()).await?,
            }
        }
        let mut open: Vec<_> = std::iter::once(0..items.len()).collect();
        while let Some(range) = open.pop() {
            if range.is_empty() {
                continue;
            }
            match sink.write(&items[range.clone()]).await {
                Err(failure) if !matches!(failure.db(), Some(DbError::Data(_))) => return Err(failure),
                Err(failure) if range.len() == 1 => {
                    self.bury(stream, of[range.start], &failure.to_string()).await?;
                }
                Err(_) => {
                    let middle = range.start + range.len() / 2;
                    open.push(middle..range.end);
                    open.push(range.start..middle);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn bury(&self, stream: &str, message: &Direct, error: &str) -> Result<(), Failure> {
        let letter = Letter {
            stream,
            seq: message.seq,
            subject: &message.subject,
            payload: &message.payload,
            error,
            at: self.shared.clock.now_ms(),
        };
        Ok(dead_letters::keep(&self.shared.db, &letter).await?)
    }
}
