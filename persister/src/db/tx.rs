//! A connection that is lent to one piece of work, inside a transaction or not.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use deadpool_postgres::Object;
use tokio_postgres::{Row, types::ToSql};

use super::DbError;

/// Parameters of a statement.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What the work of [`super::Db::tx`] and [`super::Db::read`] runs its statements on. Statements
/// are prepared once a connection, so write them as constants.
///
/// It is owned rather than borrowed, because a higher-ranked borrow would keep the work's future
/// from being `Send`.
#[derive(Debug)]
pub struct Tx(Arc<Lent>);

#[derive(Debug)]
struct Lent {
    /// Taken only when it is dropped.
    connection: Option<Object>,
    /// Whether a transaction is open on it, or a statement may still be under way.
    busy: AtomicBool,
}

impl Tx {
    pub(super) fn new(connection: Object) -> Self {
        Self(Arc::new(Lent {
            connection: Some(connection),
            busy: AtomicBool::new(false),
        }))
    }

    /// A second handle, for the work, while the first one is kept to commit with.
    pub(super) fn lend(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) fn busy(&self, busy: bool) {
        self.0.busy.store(busy, Ordering::Release);
    }

    pub(super) async fn begin(&self) -> Result<(), DbError> {
        self.busy(true);
        self.connection()?
            .batch_execute("begin")
            .await
            .map_err(DbError::from)
    }

    pub(super) async fn commit(&self) -> Result<(), DbError> {
        self.connection()?
            .batch_execute("commit")
            .await
            .map_err(DbError::at_commit)?;
        self.busy(false);
        Ok(())
    }

    pub(super) async fn roll_back(&self) {
        if let Ok(connection) = self.connection()
            && connection.batch_execute("rollback").await.is_ok()
        {
            self.busy(false);
        }
    }

    /// All rows of a statement.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let connection = self.connection()?;
        let statement = connection.prepare_cached(sql).await?;
        Ok(connection.query(&statement, params).await?)
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn query_opt(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The row of a statement that always has one.
    ///
    /// # Errors
    /// [`DbError`], also when there is not exactly one row.
    pub async fn query_one(&self, sql: &str, params: Params<'_>) -> Result<Row, DbError> {
        let connection = self.connection()?;
        let statement = connection.prepare_cached(sql).await?;
        Ok(connection.query_one(&statement, params).await?)
    }

    /// How many rows a statement changed.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        let connection = self.connection()?;
        let statement = connection.prepare_cached(sql).await?;
        Ok(connection.execute(&statement, params).await?)
    }

    fn connection(&self) -> Result<&Object, DbError> {
        self.0
            .connection
            .as_ref()
            .ok_or_else(|| DbError::Away("the connection was given back".into()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Work that was cancelled half-way (a deadline) left a transaction or a statement behind:
        // close the connection, which rolls back, instead of handing it to the next one.
        if self.busy.load(Ordering::Acquire)
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection));
        }
    }
}
