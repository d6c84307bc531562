//! What became of messages: how far users have got, as the receipts of the last minutes tell.
//!
//! Each process reads the stream `RECEIPTS` by itself and holds what it needs of it in memory, bounded in time
//! and in entries. Who decides something asks first that everything stored before that moment is known: so a
//! process that has just started, or whose connection broke, decides nothing by what it has not heard yet.

mod generations;
mod reader;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::Client;
use natterjack_nats::{Conversation, UserId, direct::DirectError, wire::ReceiptOf};
use natterjack_runtime::{health::Health, metrics::Metrics, server_time::ServerTime};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Mutex;

use generations::Generations;
use reader::{Reader, Since};

/// Most entries of one generation, of which there are two: some 100 bytes each.
const ENTRIES_MAX: usize = 400_000;
/// How far the clocks of two servers may be apart: a receipt may be stamped by so much before its message.
const SKEW_MS: u64 = 5_000;
/// How often receipts are read while nobody asks.
const EVERY: Duration = Duration::from_millis(500);
/// Longest history that is read at the start: longer than a message waits to be decided, unless nobody
/// decides. The stream keeps a day.
const BACK_MS_MAX: u64 = 86_400_000;
const CHECK: &str = "receipts";

/// Why it is not known how far users have got.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutcomeError {
    /// A direct read failed.
    #[error("receipts cannot be read: {0}")]
    Direct(#[from] DirectError),
    /// JetStream did not answer.
    #[error("receipts cannot be read: {0}")]
    Stream(String),
    /// The servers that answer have less than their leader.
    #[error("receipts cannot be read: the replicas that answer are behind; trying again")]
    Behind,
}

/// How far a user has got in a conversation: sequences, 0 where nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// A device in the foreground has confirmed what comes up to here.
    pub foreground: u64,
    /// A device has it.
    pub delivered: u64,
    /// The user has read it.
    pub read: u64,
}

impl Reached {
    fn of(receipt: &ReceiptOf) -> Self {
        Self {
            foreground: receipt.foreground,
            delivered: receipt.cursor.delivered,
            read: receipt.cursor.read,
        }
    }

    /// As far as either.
    fn and(self, other: Self) -> Self {
        Self {
            foreground: self.foreground.max(other.foreground),
            delivered: self.delivered.max(other.delivered),
            read: self.read.max(other.read),
        }
    }
}

/// How far users have got; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outcomes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<Generations>,
    reading: Mutex<Reading>,
    /// What was stored since then is still needed: Unix milliseconds.
    keep_from_ms: AtomicU64,
    window_ms: u64,
    time: ServerTime,
    entries: Gauge,
    horizon: Gauge,
}

#[derive(Debug)]
struct Reading {
    reader: Reader,
    /// All that was stored before this moment is known.
    until: Option<Instant>,
    /// What was asked to be kept when it was read last, Unix milliseconds.
    kept_from_ms: u64,
}

impl Outcomes {
    /// Of the receipts that this connection reaches. Nothing is known yet.
    ///
    /// `window`: for how long receipts are kept at least, if there is room.
    ///
    /// # Errors
    /// NATS is away.
    pub async fn open(
        client: Client,
        window: Duration,
        time: ServerTime,
        metrics: &Metrics,
    ) -> Result<Self, OutcomeError> {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let reader = Reader::open(client).await?;
        Ok(Self(Arc::new(Shared {
            known: RwLock::new(Generations::new(window_ms, ENTRIES_MAX, u64::MAX)),
            reading: Mutex::new(Reading {
                reader,
                until: None,
                kept_from_ms: u64::MAX,
            }),
            keep_from_ms: AtomicU64::new(u64::MAX),
            window_ms,
            time,
            entries: metrics.register(
                "push_receipts_known",
                "Users and conversations of which it is known how far they have got",
                Gauge::default(),
            ),
            horizon: metrics.register(
                "push_receipts_horizon_seconds",
                "How far back receipts are known",
                Gauge::default(),
            ),
        })))
    }

    /// How far a user has got in a conversation, as far as it is known: what is told here has happened.
    #[must_use]
    pub fn reached(&self, user: UserId, conversation: Conversation) -> Reached {
        self.known().reached(user, conversation)
    }

    /// What was stored since then will be asked for: it is kept beyond the window while there is room, and read
    /// again if it was let go already. Unix milliseconds; `u64::MAX` if nothing will be.
    pub fn keep_from(&self, unix_ms: u64) {
        self.0.keep_from_ms.store(unix_ms, Ordering::Relaxed);
    }

    /// Returns once all receipts are known that were stored before this moment.
    ///
    /// # Errors
    /// NATS did not answer: what is known is older.
    pub async fn know_all_before(&self, moment: Instant) -> Result<(), OutcomeError> {
        // One reads for all who wait: whoever comes to read next finds it done.
        let mut reading = self.0.reading.lock().await;
        if reading.until.is_some_and(|until| until >= moment) {
            return Ok(());
        }
        let begun = Instant::now();
        self.read(&mut reading).await?;
        reading.until = Some(begun);
        Ok(())
    }

    /// Reads on for ever, so that there is never much to read when somebody asks.
    pub async fn run(self, health: Health) {
        let mut failing = false;
        loop {
            match self.know_all_before(Instant::now()).await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("reading receipts again");
                    }
                    health.set(CHECK, Ok(()));
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "nothing is pushed until receipts can be read; trying on");
                    }
                    health.set(CHECK, Err(error.to_string()));
                }
            }
            self.measure();
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn read(&self, reading: &mut Reading) -> Result<(), OutcomeError> {
        let reader = &mut reading.reader;
        let head = reader.head().await?;
        self.0.time.heard(head.now_ms);
        let keep_from_ms = self.0.keep_from_ms.load(Ordering::Relaxed);
        let oldest_ms = head.now_ms.saturating_sub(BACK_MS_MAX);
        let needed_ms = keep_from_ms.max(oldest_ms);
        let since_ms = needed_ms
            .min(head.now_ms.saturating_sub(self.0.window_ms))
            .saturating_sub(SKEW_MS);
        // Somebody has made a consumer anew, and everything in its stream is decided once more.
        let moved_back = keep_from_ms < reading.kept_from_ms && needed_ms < self.known().since_ms();
        if moved_back {
            reader.start_over();
        }
        reading.kept_from_ms = keep_from_ms;
        if let Since::Anew(from_ms) = reader.place(&head, since_ms).await? {
            *self.write() = Generations::new(self.0.window_ms, ENTRIES_MAX, from_ms);
        }
        while let Some(page) = reader.page(&head).await? {
            let mut known = self.write();
            for (at_ms, batch) in &page {
                for receipt in &batch.receipts {
                    known.note(receipt, *at_ms, keep_from_ms.saturating_sub(SKEW_MS));
                }
            }
        }
        Ok(())
    }

    fn measure(&self) {
        let (entries, from_ms) = {
            let known = self.known();
            (known.len(), known.since_ms())
        };
        self.0.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        let back_s = self.0.time.now_ms().saturating_sub(from_ms) / 1_000;
        self.0.horizon.set(i64::try_from(back_s).unwrap_or(i64::MAX));
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Generations> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Generations> {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
