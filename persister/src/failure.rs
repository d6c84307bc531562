//! Why a request failed, and the one place where that becomes what the caller sees.

use natterjack_nats::{
    direct::DirectError,
    wire::{Code, WireError},
};

use crate::db::{DbError, TxError};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// For a reason that the caller is told as it is.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Because of Postgres.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Because of a read from a stream.
    #[error(transparent)]
    Direct(#[from] DirectError),
    /// Because of something that should not happen. The text is logged, not told.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// A failure that the caller is told as it is.
    pub fn wire(code: Code, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Wire(WireError::new(code, message))
    }

    /// Something that should not happen.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }

    /// Whether Postgres is away, so that an answer without it may do.
    #[must_use]
    pub const fn postgres_away(&self) -> bool {
        matches!(self, Self::Db(DbError::Away(_)))
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(error.into())
    }
}

impl TxError for Failure {
    fn db(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Failure> for WireError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Wire(error) => error,
            Failure::Db(DbError::Away(_)) => {
                Self::new(Code::Unavailable, "the database is away for now; try again soon")
                    .retry_after_ms(1_000)
            }
            Failure::Db(DbError::Contended(_)) => {
                Self::new(Code::Overloaded, "too many changes at once; try again").retry_after_ms(200)
            }
            Failure::Db(DbError::CommitUnknown(_)) => Self::new(
                Code::Timeout,
                "the connection broke at the last moment; look whether it happened, else try again",
            ),
            Failure::Direct(_) => Self::new(
                Code::Unavailable,
                "the newest messages are away for now; try again soon",
            )
            .retry_after_ms(500),
            Failure::Db(DbError::Data(_) | DbError::Other(_)) | Failure::Internal(_) => {
                Self::new(Code::Internal, "a part of the server failed; try again")
            }
        }
    }
}
