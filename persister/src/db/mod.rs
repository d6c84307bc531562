//! Postgres: the pool, transactions with retries and a metric each, and the schema.

mod address;
mod connect;
mod error;
pub mod look;
mod metrics;
mod migrate;
mod steps;
mod tls;
mod tx;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use natterjack_runtime::{
    metrics::Metrics,
    trace::{SpanKind, Tracer},
};
use rand::RngExt as _;
use tokio::task::JoinSet;

pub use address::Address;
pub use connect::ConnectError;
use connect::Plans;
pub use error::{DbError, TxError};
pub use migrate::MigrateError;
pub use tx::{Params, Tx};

/// How often a transaction is tried before its error is the caller's.
const TRIES: u32 = 4;
/// After this long there is no further try: somebody waits for the answer.
const TRY_FOR: Duration = Duration::from_secs(2);
/// One connection of so many plans its statements once.
const PLANNED_PART: u16 = 3;
/// A server that is there and does not answer counts as away after this long.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// How a piece of work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// In a transaction.
    Transaction,
    /// Each statement by itself.
    Read,
    /// The same, with plans that are made once a connection.
    Planned,
}

/// The database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    /// Whose connections plan a statement once.
    planned: Pool,
    transactions: metrics::Transactions,
    tracer: Tracer,
    /// What is still done to the schema; it ends with the last clone.
    _later: Arc<JoinSet<()>>,
}

impl Db {
    /// Connects, waiting up to 30 s for a server that is not there yet, and brings the schema up
    /// to date.
    ///
    /// # Errors
    /// [`ConnectError`], which tells what to do.
    pub async fn open(
        address: impl Into<Address>,
        connections_max: u16,
        metrics: &Metrics,
    ) -> Result<Self, ConnectError> {
        let address = address.into();
        let target = connect::config(&address, Plans::Each)?;
        let later = connect::prepare(&target.0, &target.1).await?;
        let planned = (connections_max / PLANNED_PART).max(1);
        let pool = connections_max.saturating_sub(planned).max(1);
        let pool = connect::pool(target, pool)?;
        let planned = connect::pool(connect::config(&address, Plans::Once)?, planned)?;
        metrics::pools(metrics, [("general", pool.clone()), ("planned", planned.clone())]);
        Ok(Self {
            pool,
            planned,
            tracer: Tracer::installed(),
            _later: Arc::new(later),
            transactions: metrics::Transactions::new(metrics),
        })
    }

    /// Runs `work` in a transaction and commits what it did if it answers `Ok`.
    ///
    /// It runs again, a few times and after a jittered pause, when Postgres asks for that
    /// (serialization failure, deadlock) or the connection was lost before the commit was asked
    /// for: what it does besides using the transaction must bear repetition. A connection lost
    /// *during* the commit is [`DbError::CommitUnknown`], which only the caller can judge.
    ///
    /// # Errors
    /// That of `work`, or what became of the transaction.
    pub async fn tx<T, E, W, F>(&self, name: &'static str, work: W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.retrying(name, How::Transaction, work).await
    }

    /// Runs `work`, whose statements only read, each in a transaction of its own: two round trips
    /// fewer than [`Self::tx`]. It runs again as that does.
    ///
    /// # Errors
    /// That of `work`, or Postgres is away.
    pub async fn read<T, E, W, F>(&self, name: &'static str, work: W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.retrying(name, How::Read, work).await
    }

    /// As [`Self::read`], for statements that are planned once a connection, whatever their parameters
    /// and however large the tables are by then: each part of them must be a look-up by key that the
    /// one before it leads to (`cross join lateral (… offset 0)`), so that there is one way to run them.
    ///
    /// # Errors
    /// That of `work`, or Postgres is away.
    pub async fn read_planned<T, E, W, F>(&self, name: &'static str, work: W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.retrying(name, How::Planned, work).await
    }

    async fn retrying<T, E, W, F>(&self, name: &'static str, how: How, work: W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let started = Instant::now();
        let span = self.tracer.part_of_kind("db.transaction", SpanKind::Client);
        span.note("db.system.name", "postgresql");
        span.note("db.operation.name", name);
        let mut tried = 1;
        let result = loop {
            let error = match span.run(self.once(how, &work)).await {
                Ok(value) => break Ok(value),
                Err(error) => error,
            };
            let again = error.db().is_some_and(DbError::worth_another_try);
            if !again || tried >= TRIES || started.elapsed() >= TRY_FOR {
                break Err(error);
            }
            self.transactions.retried(name);
            tokio::time::sleep(pause(tried)).await;
            tried += 1;
        };
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.db().map_or("refused", DbError::outcome),
        };
        if result.is_err() {
            span.failed(outcome);
        }
        self.transactions.done(name, outcome, started.elapsed());
        result
    }

    async fn once<T, E, W, F>(&self, how: How, work: &W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let pool = match how {
            How::Transaction | How::Read => &self.pool,
            How::Planned => &self.planned,
        };
        let tx = Tx::new(pool.get().await.map_err(DbError::from)?);
        if how != How::Transaction {
            tx.busy(true);
            let answered = tokio::time::timeout(READ_TIMEOUT, work(tx.lend())).await;
            let result = answered.map_err(|_| DbError::Away("no answer in time".into()))?;
            tx.busy(false);
            return result;
        }
        tx.begin().await?;
        match work(tx.lend()).await {
            Ok(value) => {
                let commit = self.tracer.part_of_kind("db.commit", SpanKind::Client);
                tx.commit()
                    .await
                    .inspect_err(|error| commit.failed(error.outcome()))?;
                Ok(value)
            }
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        }
    }
}

/// Full jitter over 20, 40, 80 … ms.
fn pause(tried: u32) -> Duration {
    let most_ms = 20_u64 << tried.min(5);
    Duration::from_millis(rand::rng().random_range(1..=most_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transactions are used in spawned tasks.
    #[test]
    fn a_transaction_is_send() {
        fn send(_: impl Send) {}
        fn check(db: &Db, given: &[u8]) {
            let owned = String::new();
            send(async {
                let owned = &owned;
                let work = |tx: Tx| async move {
                    tx.query("", &[owned]).await?;
                    Ok::<_, DbError>(given.len())
                };
                db.tx("x", work).await
            });
        }
        let _ = check;
    }
}
