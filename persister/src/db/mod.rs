//! Postgres: the pool, transactions with retries and a metric each, and the schema.

mod connect;
mod error;
mod metrics;
mod migrate;
mod tx;

use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use natterjack_runtime::metrics::Metrics;
use rand::RngExt as _;

pub use connect::ConnectError;
pub use error::{DbError, TxError};
pub use migrate::MigrateError;
pub use tx::{Params, Tx};

/// How often a transaction is tried before its error is the caller's.
const TRIES: u32 = 4;
/// After this long there is no further try: somebody waits for the answer.
const TRY_FOR: Duration = Duration::from_secs(2);
/// A server that is there and does not answer counts as away after this long.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// The database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    transactions: metrics::Transactions,
}

impl Db {
    /// Connects, waiting up to 30 s for a server that is not there yet, and brings the schema up
    /// to date.
    ///
    /// # Errors
    /// [`ConnectError`], which tells what to do.
    pub async fn open(url: &str, connections_max: u16, metrics: &Metrics) -> Result<Self, ConnectError> {
        let config = connect::config(url)?;
        connect::prepare(&config).await?;
        Ok(Self {
            pool: connect::pool(config, connections_max)?,
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
        self.retrying(name, true, work).await
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
        self.retrying(name, false, work).await
    }

    async fn retrying<T, E, W, F>(&self, name: &'static str, transaction: bool, work: W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let started = Instant::now();
        let mut tried = 1;
        let result = loop {
            let error = match self.once(transaction, &work).await {
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
        self.transactions.done(name, outcome, started.elapsed());
        result
    }

    async fn once<T, E, W, F>(&self, transaction: bool, work: &W) -> Result<T, E>
    where
        E: TxError,
        W: Fn(Tx) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let tx = Tx::new(self.pool.get().await.map_err(DbError::from)?);
        if !transaction {
            tx.busy(true);
            let answered = tokio::time::timeout(READ_TIMEOUT, work(tx.lend())).await;
            let result = answered.map_err(|_| DbError::Away("no answer in time".into()))?;
            tx.busy(false);
            return result;
        }
        tx.begin().await?;
        match work(tx.lend()).await {
            Ok(value) => {
                tx.commit().await?;
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
