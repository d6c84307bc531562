//! A chat stream that was made anew, or went back, counts on above everything that the database has.
//!
//! What was acked and is in neither may still be known to clients: they were given it, and their cursors say
//! so. So the stream does not go on right behind the database's last sequence, but with a new era: sequences
//! are counted in eras of 2^40, more than a shard stores in an era's life.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::{Shard, topology};
use tokio::time::Instant;

use super::{Look, Marks, MarksError, store, store::Mark};

/// Sequences of an era. Clients read sequences as numbers of 53 bits, so that there are 8,192 eras.
pub(super) const ERA: u64 = 1 << 40;
/// The last sequence that a client reads exactly (RFC 8259, section 6).
const SEQ_MAX: u64 = (1 << 53) - 1;
/// Era 0 began with 2026, in Unix milliseconds: no era that a lost stream had is later than today's, even if
/// the database that is put back knows of none.
const EPOCH_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// A clock that is far ahead does not use up all eras.
const DAYS_MAX: u64 = 7_000;

/// How long a stream stays closed for a notifier that has not read it to its end.
const NOTIFIER_GRACE: Duration = Duration::from_secs(30);

/// The sequence before the first of the era that follows the one of `last`, or of today's if that is later;
/// `None` once all are used up.
fn era_after(last: u64, now_ms: u64) -> Option<u64> {
    let today = (now_ms.saturating_sub(EPOCH_MS) / DAY_MS).min(DAYS_MAX);
    let before = (last / ERA + 1).max(today) * ERA;
    (before + ERA <= SEQ_MAX + 1).then_some(before)
}

impl Marks {
    /// Keeps a stream that went back from taking messages.
    pub(super) async fn close(&self, shard: Shard, look: &Look, mark: Mark) -> Result<(), MarksError> {
        tracing::error!(
            stream.name = look.name,
            stream.last = look.last,
            database.head = mark.head,
            "the stream is older than the database, as after a snapshot was put back; it takes no messages \
             until all of it is in the database, and then counts on from above"
        );
        self.set_closed(shard, look, true, "closed").await
    }

    /// Opens a closed stream once everything in it is in the database; whether it is open.
    pub(super) async fn reopen(&mut self, shard: Shard, look: &Look, mark: Mark) -> Result<bool, MarksError> {
        if look.delivered > mark.floor {
            // What the consumer believes to be in the database may not be in this one.
            self.reread(Some(shard), &look.name, mark).await?;
            let read = Mark {
                floor: look.floor,
                ..mark
            };
            let raised = BTreeMap::from([(look.name.clone(), read)]);
            store::raise(&self.shared.db, &raised).await?;
        }
        if !look.read {
            return Ok(false);
        }
        // Before the stream is looked at again: as long as it is closed, nothing is stored of which the
        // database could know more.
        let heads = self.heads().await?;
        let head = heads.get(&look.name).copied().unwrap_or_default();
        let fresh = heads.is_empty();
        let now = Look::at(&self.shared.jetstream, Some(shard), look.name.clone()).await?;
        if !now.closed {
            // Another persister was faster.
            return Ok(true);
        }
        if !now.read {
            return Ok(false);
        }
        if now.last >= now.first && !self.notifier_is_done(&now.name).await {
            return Ok(false);
        }
        self.waits.remove(&now.name);
        let last = head.max(mark.head).max(mark.floor);
        let counts_from = if fresh && last == 0 && now.last == 0 {
            0
        } else if now.last >= last && now.last % ERA == 0 && now.first > now.last {
            // Another persister, or this one, died in between.
            now.last
        } else {
            self.begin_era(&now, last.max(now.last)).await?
        };
        store::set(&self.shared.db, &now.name, counts_from).await?;
        self.set_closed(shard, &now, false, "opened").await?;
        tracing::info!(
            stream.name = now.name,
            stream.last = counts_from,
            "the stream takes messages"
        );
        Ok(true)
    }

    /// Whether the notifier has read all that a closed stream has too, or was given the time to.
    async fn notifier_is_done(&mut self, name: &str) -> bool {
        let since = *self.waits.entry(name.to_owned()).or_insert_with(Instant::now);
        let stream = self.shared.jetstream.get_stream_no_info(name).await;
        let info = match stream {
            Ok(stream) => stream
                .consumer_info(topology::NOTIFIER)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let left = match info {
            Ok(info) if info.num_pending == 0 && info.num_ack_pending == 0 => return true,
            Ok(info) => format!("{} messages", info.num_pending + info.num_ack_pending as u64),
            Err(error) => error,
        };
        let waited = since.elapsed() >= NOTIFIER_GRACE;
        if waited {
            tracing::warn!(
                stream.name = name,
                left,
                "no notifier has read the stream to its end; nobody is pushed what is left, and it counts on"
            );
        }
        waited
    }

    /// Makes an emptied stream count on with the era after that of `last`; answers its sequence before the
    /// first of it.
    async fn begin_era(&self, look: &Look, last: u64) -> Result<u64, MarksError> {
        let refused = |why: String| MarksError::Refused {
            stream: look.name.clone(),
            what: "made to count on",
            why,
        };
        let before = era_after(last, self.shared.clock.now_ms());
        let before = before.ok_or_else(|| refused("its sequences are used up".into()))?;
        tracing::warn!(
            stream.name = look.name,
            database.head = last,
            stream.next = before + 1,
            "the stream was made anew or went back; it counts on far above what the database has"
        );
        let stream = self.shared.jetstream.get_stream_no_info(&look.name).await;
        let stream = stream.map_err(|error| refused(error.to_string()))?;
        // Nothing that it has is lost by this: it is closed, and all of it was read.
        let purged = stream.purge().sequence(before + 1).await;
        purged.map_err(|error| refused(error.to_string()))?;
        Ok(before)
    }

    async fn set_closed(
        &self,
        shard: Shard,
        look: &Look,
        closed: bool,
        what: &'static str,
    ) -> Result<(), MarksError> {
        let mut config = look.config.clone();
        topology::set_closed(shard, &mut config, closed);
        let updated = self.shared.jetstream.update_stream(config).await;
        updated.map(drop).map_err(|error| MarksError::Refused {
            stream: look.name.clone(),
            what,
            why: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_above_what_is_known_and_not_before_today() {
        let day = |days: u64| EPOCH_MS + days * DAY_MS;
        assert_eq!(era_after(300, 0), Some(ERA));
        assert_eq!(era_after(300, day(1)), Some(ERA));
        assert_eq!(era_after(300, day(325)), Some(325 * ERA));
        assert_eq!(era_after(325 * ERA + 5, day(325)), Some(326 * ERA));
        assert_eq!(era_after(325 * ERA, day(3)), Some(326 * ERA));
        assert_eq!(era_after(0, u64::MAX), Some(DAYS_MAX * ERA));
        assert_eq!(era_after(8_190 * ERA, 0), Some(8_191 * ERA));
        assert_eq!(era_after(8_191 * ERA, 0), None);
    }
}
