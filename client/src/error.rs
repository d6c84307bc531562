//! What can go wrong, one enum per operation.

use natterjack_nats::wire::WireError;

/// Why a message was not taken into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// Too much is waiting for its ack already.
    #[error("too many messages wait for the server: try again once some are acknowledged")]
    Full,
    /// The client was closed or has stopped.
    #[error("the client has stopped: connect again")]
    Stopped,
    /// Events are made by the server only.
    #[error("a client cannot send an event")]
    NotSendable,
    /// More people are to be watched than a server takes.
    #[error("at most {max} people can be watched at once", max = natterjack_nats::limits::WATCH_USERS_MAX)]
    TooManyWatched,
}

/// Why a message that was taken will not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The server refused it for good.
    #[error("{0}")]
    Refused(WireError),
    /// The client stopped first. If the message was on its way, it may have been stored.
    #[error("the client stopped before the message was acknowledged")]
    Stopped,
}

/// Why a request over the socket has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The server refused it.
    #[error("{0}")]
    Refused(WireError),
    /// No answer in time, reconnects included.
    #[error("no answer in time: is the server reachable?")]
    Timeout,
    /// Too many requests wait already.
    #[error("too many requests wait for the server: try again later")]
    Full,
    /// The client was closed or has stopped.
    #[error("the client has stopped: connect again")]
    Stopped,
}

/// Why a client does not come back by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The application closed it.
    #[error("closed")]
    Closed,
    /// The server closed the socket with a code that says not to come back.
    #[error("the server closed the connection for good ({code} {reason})")]
    Refused {
        /// The close code, 3500–3999.
        code: u16,
        /// Its reason in a word or two.
        reason: String,
        /// What the server said before, if it did.
        error: Option<WireError>,
    },
    /// There is no valid access token to be had.
    #[error("no valid access token: {0}")]
    Token(WireError),
}

/// Why an HTTP call failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server answered with an error.
    #[error("{}", .0.message)]
    Wire(#[from] WireError),
    /// No server answered.
    #[error("cannot reach {server}")]
    Unreachable {
        /// The one that was tried last.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Something answered that is not a Natterjack edge of this version.
    #[error(
        "{server} gave an answer that is not understood (HTTP status {status}): is it a Natterjack edge?"
    )]
    Garbled {
        /// Who.
        server: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server's address is not one.
    #[error("{0:?} is not a server's address: it looks like http://127.0.0.1:8080")]
    BadAddress(String),
    /// The HTTP client could not be set up.
    #[error("cannot set up HTTP: {0}")]
    Setup(reqwest::Error),
    /// There is no access token to call with.
    #[error("{0}")]
    Token(#[from] crate::token::TokenError),
}

impl ApiError {
    /// The server's error, if it gave one.
    #[must_use]
    pub const fn wire(&self) -> Option<&WireError> {
        match self {
            Self::Wire(error) => Some(error),
            Self::Token(crate::token::TokenError::Refused(error)) => Some(error),
            _ => None,
        }
    }
}
