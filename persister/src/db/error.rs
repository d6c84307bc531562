//! What can go wrong with Postgres, sorted by what follows from it.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// Why something did not happen in Postgres.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Postgres is away, starts, stops or has no connection to spare.
    #[error("Postgres is away: {0}")]
    Away(String),
    /// Others were in the way: serialization failure or deadlock.
    #[error("Postgres gave way to another transaction: {}", detail(.0))]
    Contended(tokio_postgres::Error),
    /// The connection was lost while the transaction was committed: it may have happened.
    #[error("the connection to Postgres was lost while committing: {0}")]
    CommitUnknown(String),
    /// Postgres refused the data itself: the same again would be refused again.
    #[error("Postgres refused the data: {}", detail(.0))]
    Data(tokio_postgres::Error),
    /// Anything else: a fault of ours, or of the database (disk full, missing table, …).
    #[error("Postgres failed: {}", detail(.0))]
    Other(tokio_postgres::Error),
}

/// An error that a transaction's work may end with.
pub trait TxError: From<DbError> {
    /// The database's part in it, which decides whether the work is tried again.
    fn db(&self) -> Option<&DbError>;
}

impl TxError for DbError {
    fn db(&self) -> Option<&DbError> {
        Some(self)
    }
}

impl DbError {
    /// Whether the same transaction may succeed in a moment.
    #[must_use]
    pub const fn worth_another_try(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Contended(_))
    }

    /// One word for the metric.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Contended(_) => "contended",
            Self::CommitUnknown(_) => "commit_unknown",
            Self::Data(_) => "data",
            Self::Other(_) => "failed",
        }
    }

    /// The error of a commit: a lost connection leaves open whether it happened.
    pub(super) fn at_commit(error: tokio_postgres::Error) -> Self {
        match Self::from(error) {
            Self::Away(why) => Self::CommitUnknown(why),
            other => other,
        }
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            // No answer of the server's: the connection, or its absence.
            return Self::Away(chain(&error));
        };
        if [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(state)
        {
            return Self::Contended(error);
        }
        // Timeouts that we set ourselves are in 57014 and 55P03: the server is busy.
        match state.code().get(..2) {
            // Connection exception, insufficient resources, operator intervention.
            Some("08" | "53" | "57") => Self::Away(detail(&error)),
            Some("55") => Self::Away(detail(&error)),
            // Data exception, integrity constraint, program limit exceeded.
            Some("22" | "23" | "54") => Self::Data(error),
            // A standby that was not promoted yet.
            _ if *state == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Away(detail(&error)),
            _ => Self::Other(error),
        }
    }
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match Self::from(error) {
                // Nothing but the connection was asked for: a wrong password, a missing database
                // and the like pass with the operator's help, as an absent server does.
                Self::Data(error) | Self::Other(error) => Self::Away(detail(&error)),
                other => other,
            },
            PoolError::Timeout(_) => Self::Away("no free connection in time".into()),
            other => Self::Away(other.to_string()),
        }
    }
}

/// What went wrong, in the server's words: the error's own are the kind alone.
pub(super) fn detail(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        // Without the detail line, which may quote the row.
        .map_or_else(
            || chain(error),
            |db| format!("{} ({})", db.message(), db.code().code()),
        )
}

/// An error and its reasons, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
