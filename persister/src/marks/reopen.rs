//! A chat stream that was made anew, or went back, counts on above everything that the database has.
//!
//! What was acked and is in neither may still be known to clients: they were given it, and their cursors say
//! so. So the stream does not go on right behind the database's last sequence, but with a new era: sequences
//! are counted in eras of 2^40, more than a shard stores in an era's life.

use natterjack_nats::Shard;

use super::{Look, Marks, MarksError, store, store::Mark};

/// Sequences of an era. Clients read sequences as numbers of 53 bits, so that there are 8,192 eras.
const ERA: u64 = 1 << 40;
/// The last sequence that a client reads exactly (RFC 8259, section 6).
const SEQ_MAX: u64 = (1 << 53) - 1;

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
        if look.floor > mark.floor && look.first <= look.floor {
            // What the consumer believes to be in the database may not be in this one.
            self.reread(Some(shard), look, mark).await?;
        }
        // Before the stream is looked at again: as long as it is closed, nothing is stored of which the
        // database could know more.
        let heads = store::heads(&self.shared.db, self.shared.shards).await?;
        let head = heads.get(&look.name).copied().unwrap_or_default();
        let now = Look::at(&self.shared.jetstream, Some(shard), look.name.clone()).await?;
        if !now.closed {
            // Another persister was faster.
            return Ok(true);
        }
        if !now.read {
            return Ok(false);
        }
        let last = head.max(mark.head).max(mark.floor);
        let counts_from = if last == 0 && now.last == 0 {
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

    /// Makes an emptied stream count on with the era after that of `last`; answers its sequence before the
    /// first of it.
    async fn begin_era(&self, look: &Look, last: u64) -> Result<u64, MarksError> {
        let refused = |why: String| MarksError::Refused {
            stream: look.name.clone(),
            what: "made to count on",
            why,
        };
        let before = (last / ERA + 1) * ERA;
        if before + ERA > SEQ_MAX {
            return Err(refused("its sequences are used up".into()));
        }
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
        natterjack_nats::topology::set_closed(shard, &mut config, closed);
        let updated = self.shared.jetstream.update_stream(config).await;
        updated.map(drop).map_err(|error| MarksError::Refused {
            stream: look.name.clone(),
            what,
            why: error.to_string(),
        })
    }
}
