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
    /// The database is that of a cluster with another number of shards.
    #[error(
        "the database is that of a cluster with {known} shards, and NATS was provisioned with {provisioned}: \
         conversations would be looked for in streams that do not have them. Give the --database-url that \
         belongs to this cluster; or, if JetStream was lost and made anew, empty it once more and run \
         `natterjack provision --shards {known}`"
    )]
    Shards {
        /// How many the database knows.
        known: u16,
        /// How many there are.
        provisioned: u16,
    },
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
    /// Since when a closed stream waits for the notifier.
    waits: BTreeMap<String, Instant>,
    /// The highest sequences that the history has, if this round needed them.
    heads: Option<BTreeMap<String, u64>>,
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
            waits: BTreeMap::new(),
            heads: None,
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
        self.same_shards().await?;
        // Somewhat longer than a stream must be behind, so that one that went back is closed by then.
        let deadline = Instant::now() + BEHIND_FOR_AT_START + EVERY;
        loop {
            self.round(true, BEHIND_FOR_AT_START).await?;
            if self.behind.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Refuses a cluster that was made anew with another number of shards.
    async fn same_shards(&self) -> Result<(), MarksError> {
        let provisioned = self.shared.shards.count();
        match store::shards(&self.shared.db, provisioned).await? {
            known if known == provisioned => Ok(()),
            known => Err(MarksError::Shards { known, provisioned }),
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
                Err(error) => {
                    // What was not looked at meanwhile was not seen behind all the time.
                    self.behind.clear();
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "streams and database cannot be compared; trying on");
                    }
                }
            }
        }
    }

    /// Compares all streams once. One that is behind for `believed` is taken for that.
    async fn round(&mut self, starting: bool, believed: Duration) -> Result<(), MarksError> {
        self.heads = None;
        // Marks before the streams: what is behind a mark of before is behind, whatever was written since.
        let before = self.marks().await?;
        // Acks before marks: what they say was committed before.
        let looks = self.look_at_all().await?;
        let marks = store::read(&self.shared.db).await?;
        let mut raised = BTreeMap::new();
        for (shard, look) in looks {
            let name = look.name.clone();
            let was = before.get(&name).copied().unwrap_or_default();
            let mark = marks.get(&name).copied().unwrap_or(was);
            let fits = match shard {
                Some(shard) => self.fits(shard, &look, was, mark, believed).await?,
                // Receipts: nobody has a cursor in them.
                None if was.is_ahead_of(&look) => {
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
            let (unmarked, ahead) = (!marks.contains_key(&name), floor > mark.head.max(mark.floor));
            // Only a shard's rows raise the head beside them.
            if went_back || unmarked || starting || (shard.is_some() && ahead) {
                self.reread(shard, &name, mark).await?;
            }
            let now = Mark {
                head: mark.head.max(floor),
                floor: mark.floor.max(floor),
            };
            if now != mark || unmarked {
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

    /// The marks of all streams. One that the database has none for is new, or of a version that kept none:
    /// nothing says up to where the history is complete.
    async fn marks(&mut self) -> Result<BTreeMap<String, Mark>, MarksError> {
        let mut marks = store::read(&self.shared.db).await?;
        let chats = self.shared.shards.all().map(topology::chat_stream);
        let unmarked: Vec<_> = chats.filter(|name| !marks.contains_key(name)).collect();
        if !unmarked.is_empty() {
            let heads = self.heads().await?;
            for name in unmarked {
                let head = heads.get(&name).copied().unwrap_or_default();
                marks.insert(name, Mark { head, floor: 0 });
            }
        }
        Ok(marks)
    }

    /// The highest sequences that the history has, read once in a round.
    async fn heads(&mut self) -> Result<&BTreeMap<String, u64>, DbError> {
        if self.heads.is_none() {
            self.heads = Some(store::heads(&self.shared.db, self.shared.shards).await?);
        }
        Ok(self.heads.get_or_insert_default())
    }

    /// Whether the stream counts on from where the database is, and is open; else it is brought there. The
    /// mark `was` before the look.
    async fn fits(
        &mut self,
        shard: Shard,
        look: &Look,
        was: Mark,
        mark: Mark,
        believed: Duration,
    ) -> Result<bool, MarksError> {
        let name = &look.name;
        let behind = was.is_ahead_of(look);
        if !behind {
            self.behind.remove(name);
        }
        let mut fits = !look.closed && !behind;
        if look.closed {
            fits = self.reopen(shard, look, mark).await?;
        } else if behind {
            let since = *self.behind.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= believed {
                // Once more, since a round may take its time.
                let now = Look::at(&self.shared.jetstream, Some(shard), name.clone()).await?;
                if now.closed || !was.is_ahead_of(&now) {
                    self.behind.remove(name);
                } else {
                    self.close(shard, &now, was).await?;
                }
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
