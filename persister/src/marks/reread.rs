//! What a stream has and the database lost is written again, as it was the first time.

use std::time::Duration;

use natterjack_nats::{
    Shard,
    direct::{self, Bounds, Direct},
};
use tokio::time::sleep;

use super::{Look, Marks, MarksError, store::Mark};
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
/// How often a page that is empty is asked for again: a replica may lag.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

impl Marks {
    /// Reads what lies between the mark and the consumer's ack floor. Until that is done nobody takes the
    /// database for complete beyond the mark.
    pub(super) async fn reread(
        &self,
        shard: Option<Shard>,
        look: &Look,
        mark: Mark,
    ) -> Result<(), MarksError> {
        let Some(shard) = shard else {
            let sink = Receipts::new(&self.shared);
            return self.copy(&sink, look, mark).await;
        };
        let known = mark.head.max(mark.floor);
        let missing = look
            .first
            .saturating_sub(known + 1)
            .min(look.floor.saturating_sub(known));
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
        let (mut next, to) = ((mark.floor + 1).max(look.first), look.floor);
        let (mut count, mut tries) = (0_usize, TRIES);
        while next <= to {
            let page = direct::next(&self.shared.client, &look.name, next, PAGE).await;
            let mut page = page.map_err(|error| failed(error.into()))?.messages;
            let Some(last) = page.last().map(|message| message.seq) else {
                tries -= 1;
                if tries == 0 {
                    break;
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
