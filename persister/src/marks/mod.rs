//! Whether the streams and the database fit together, and what is done where they do not.
//!
//! A mark in the database says how far it has come in each stream ([`store`]). From that, and from what the
//! streams say of themselves, three mishaps are told, each mended here:
//!
//! - **The database is older than the acks**: a backup was put back, or a replica took over that lagged. What
//!   the streams still have beyond its mark is read again ([`reread`]); what is in neither is counted and told.
//! - **A stream is new, or older than the database**: it was lost, or a snapshot was put back. It counts on
//!   far above everything the database has, and only then takes messages ([`reopen`]): no sequence is given
//!   twice, and who has a cursor of before misses nothing.
//! - **Both are new**: a new cluster. The streams are opened as they are.
//!
//! Chat streams are made closed by provisioning: nobody but the persister knows the database.

mod look;
mod reopen;
mod reread;
mod store;

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::{Shard, topology};
use natterjack_runtime::health::Health;
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use tokio::time::{Instant, sleep};

pub use self::look::LookError;
use self::{look::Look, store::Mark};
use crate::{Shared, db::DbError, failure::Failure, ingest::IngestMetrics};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// How long a stream must be seen behind the database until it is believed: a leader that was elected just
/// now may not have applied yet what its predecessor had acked.
const BEHIND_FOR: Duration = Duration::from_secs(10);
/// The same while starting, when others wait.
const BEHIND_FOR_AT_START: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(250);

/// Why streams and database could not be compared, or brought together.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// A stream or its consumer does not answer.
    #[error(transparent)]
    Look(#[from] LookError),
    /// Postgres is away.
    #[error(transparent)]
    Db(#[from] DbError),
    /// What a stream has could not be read or written again.
    #[error("{stream} could not be read again: {why}")]
    Reread {
        /// Of which stream.
        stream: String,
        /// Why.
        why: Failure,
    },
    /// JetStream refused to change a stream.
    #[error("{stream} could not be {what}: {why}. Look at it with `nats stream info {stream}`")]
    Refused {
        /// Which stream.
        stream: String,
        /// What was tried.
        what: &'static str,
        /// In the server's words.
        why: String,
    },
}

/// Compares, and mends.
pub struct Marks {
    shared: Shared,
    ingest: IngestMetrics,
    health: Health,
    /// As they were at the last look.
    seen: BTreeMap<String, Mark>,
    /// Since when a stream is behind the database.
    behind: BTreeMap<String, Instant>,
    closed: Family<[(&'static str, String); 1], Gauge>,
    missing: Family<[(&'static str, String); 1], Gauge>,
}

impl Marks {
    /// Nothing was looked at yet.
    pub fn new(shared: &Shared, ingest: &IngestMetrics, health: &Health) -> Self {
        let marks = Self {
            shared: shared.clone(),
            ingest: ingest.clone(),
            health: health.clone(),
            seen: BTreeMap::new(),
            behind: BTreeMap::new(),
            closed: shared.metrics.register(
                "stream_closed",
                "Whether a chat stream takes no messages, because it was made anew or is older than the database",
                Family::default(),
            ),
            missing: shared.metrics.register(
                "history_missing_messages",
                "Sequences that neither the database nor the stream has, since a backup was put back that is \
                 older than the stream's tail",
                Family::default(),
            ),
        };
        for shard in shared.shards.all() {
            for told in [&marks.closed, &marks.missing] {
                told.get_or_create(&[("shard", shard.to_string())]).set(0);
            }
        }
        marks
    }

    /// Looks at all streams for the first time: what was lost of the database is read again before this
    /// returns, and what can be opened is open.
    ///
    /// # Errors
    /// [`MarksError`].
    pub async fn start(&mut self) -> Result<(), MarksError> {
        let deadline = Instant::now() + BEHIND_FOR_AT_START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.round(true, BEHIND_FOR_AT_START.saturating_sub(left)).await?;
            if self.behind.is_empty() || left.is_zero() {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Looks again and again, for ever.
    pub async fn keep(mut self) {
        let mut failing = false;
        loop {
            sleep(EVERY).await;
            match self.round(false, BEHIND_FOR).await {
                Ok(()) if std::mem::take(&mut failing) => {
                    tracing::info!("streams and database are compared again");
                }
                Ok(()) => {}
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "streams and database cannot be compared; trying on");
                }
                Err(_) => {}
            }
        }
    }

    /// Compares all streams once. One that is behind for `believed` is taken for that.
    async fn round(&mut self, starting: bool, believed: Duration) -> Result<(), MarksError> {
        // The acks first: what they say was committed before.
        let looks = self.look_at_all().await?;
        let marks = store::read(&self.shared.db).await?;
        let mut history = None;
        let mut raised = BTreeMap::new();
        for (shard, look) in looks {
            let name = look.name.clone();
            let mark = match marks.get(&name) {
                Some(mark) => *mark,
                None => self.first_mark(&look, &mut history).await?,
            };
            let fits = match shard {
                Some(shard) => self.fits(shard, &look, mark, believed).await?,
                // Receipts: nobody has a cursor in them.
                None if look.last < mark.floor => {
                    store::set(&self.shared.db, &name, look.floor).await?;
                    false
                }
                None => true,
            };
            if !fits {
                self.seen.remove(&name);
                continue;
            }
            let went_back = self.seen.get(&name).is_some_and(|seen| seen.floor > mark.floor);
            let floor = look.floor;
            if went_back || floor > mark.head.max(mark.floor) || (starting && floor > mark.floor) {
                self.reread(shard, &look, mark).await?;
            }
            let now = Mark {
                head: mark.head.max(floor),
                floor: mark.floor.max(floor),
            };
            if now != mark || !marks.contains_key(&name) {
                raised.insert(name.clone(), now);
            }
            self.seen.insert(name, now);
        }
        Ok(store::raise(&self.shared.db, &raised).await?)
    }

    async fn look_at_all(&self) -> Result<Vec<(Option<Shard>, Look)>, MarksError> {
        let chats = self
            .shared
            .shards
            .all()
            .map(|shard| (Some(shard), topology::chat_stream(shard)));
        let streams = chats.chain([(None, topology::RECEIPTS.to_owned())]);
        let looks = streams.map(|(shard, name)| async move {
            let look = Look::at(&self.shared.jetstream, shard, name).await?;
            Ok::<_, MarksError>((shard, look))
        });
        futures::future::try_join_all(looks).await
    }

    /// The mark of a stream for which the database has none: it is new, or of a version that kept none.
    async fn first_mark(
        &self,
        look: &Look,
        history: &mut Option<BTreeMap<String, u64>>,
    ) -> Result<Mark, MarksError> {
        let heads = match history {
            Some(heads) => heads,
            none => none.insert(store::heads(&self.shared.db, self.shared.shards).await?),
        };
        if heads.is_empty() {
            // A database without any history: whatever the streams have is to be read.
            return Ok(Mark::default());
        }
        Ok(Mark {
            head: heads.get(&look.name).copied().unwrap_or_default(),
            floor: look.floor,
        })
    }

    /// Whether the stream counts on from where the database is, and is open; else it is brought there.
    async fn fits(
        &mut self,
        shard: Shard,
        look: &Look,
        mark: Mark,
        believed: Duration,
    ) -> Result<bool, MarksError> {
        let name = &look.name;
        let behind = look.last < mark.head.max(mark.floor);
        if !behind {
            self.behind.remove(name);
        }
        let mut fits = !look.closed && !behind;
        if look.closed {
            fits = self.reopen(shard, look, mark).await?;
        } else if behind {
            let since = *self.behind.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= believed {
                self.close(shard, look, mark).await?;
            }
        }
        let check = format!("stream {name}");
        let closed = self.closed.get_or_create(&[("shard", shard.to_string())]);
        if fits {
            closed.set(0);
            self.health.set(check, Ok(()));
        } else {
            closed.set(1);
            let why = "it takes no messages until it counts on from where the database is".to_owned();
            self.health.set(check, Err(why));
        }
        // What was opened just now is looked at again before anything is derived from it.
        Ok(fits && !look.closed)
    }
}
