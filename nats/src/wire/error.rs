//! The one table of error codes, used by socket, HTTP, micro services and clients alike.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $retryable:literal;)*) => {
        /// What went wrong, for a program.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, for the documentation and its test.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it stands on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status (RFC 9110) that carries the code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Whether the same request may succeed later, unchanged.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }
        }
    };
}

codes! {
    /// The request is malformed; the message says where.
    BadRequest = "bad_request", 400, false;
    /// A frame of an unknown type, perhaps from a newer client.
    UnknownType = "unknown_type", 400, false;
    /// No valid credentials.
    Unauthorized = "unauthorized", 401, false;
    /// The access token has expired: refresh it.
    TokenExpired = "token_expired", 401, false;
    /// The device was logged out or revoked: log in again.
    Revoked = "revoked", 401, false;
    /// The role does not allow it.
    Forbidden = "forbidden", 403, false;
    /// The user is not in the conversation.
    NotMember = "not_member", 403, false;
    /// There is no such thing, or it is not for this user to know.
    NotFound = "not_found", 404, false;
    /// The same id was used for something else: a message with another content.
    Conflict = "conflict", 409, false;
    /// The handle belongs to somebody else.
    HandleTaken = "handle_taken", 409, false;
    /// The group has reached its size limit.
    GroupFull = "group_full", 409, false;
    /// A group keeps an owner: name another one first.
    LastOwner = "last_owner", 409, false;
    /// The frame or body is larger than the limit.
    TooLarge = "too_large", 413, false;
    /// The text is longer than the limit.
    TextTooLong = "text_too_long", 413, false;
    /// Too many requests: slow down.
    RateLimited = "rate_limited", 429, true;
    /// The server cannot take more for now; nothing was stored.
    Overloaded = "overloaded", 503, true;
    /// A part of the server is away for now.
    Unavailable = "unavailable", 503, true;
    /// No answer in time. The outcome is not known: retry with the same id.
    Timeout = "timeout", 504, true;
    /// A fault of the server; it was logged.
    Internal = "internal", 500, true;
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as every client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct WireError {
    /// For the program.
    pub code: Code,
    /// For the person: what to do.
    pub message: Cow<'static, str>,
    /// Whether the same request may succeed later, unchanged.
    pub retryable: bool,
    /// When to retry at the earliest, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl WireError {
    /// An error with the code's own retryability.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.retryable(),
            retry_after_ms: None,
        }
    }

    /// The same error with the earliest time to retry, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// WebSocket close codes. The range carries the policy, so that an old client handles a new code:
/// 3000–3499 reconnect, 3500–3999 do not. (The scheme is Centrifugo's.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// The edge shuts down or drains: reconnect, perhaps elsewhere.
    Shutdown,
    /// The access token expired: refresh, then reconnect.
    TokenExpired,
    /// The client read too slowly: reconnect and resume.
    Slow,
    /// Nothing was heard for one and a half ping intervals.
    NoPong,
    /// A part of the server that a session needs is away: reconnect with backoff.
    Unavailable,
    /// The token is not valid.
    BadToken,
    /// The client broke the protocol.
    BadRequest,
    /// The device was revoked or logged out.
    Revoked,
    /// Too many connections of this user.
    TooManyConnections,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Shutdown => 3001,
            Self::TokenExpired => 3005,
            Self::Slow => 3008,
            Self::NoPong => 3012,
            Self::Unavailable => 3013,
            Self::BadToken => 3500,
            Self::BadRequest => 3501,
            Self::Revoked => 3503,
            Self::TooManyConnections => 3504,
        }
    }

    /// The reason on the wire, one word.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::TokenExpired => "token expired",
            Self::Slow => "slow",
            Self::NoPong => "no pong",
            Self::Unavailable => "unavailable",
            Self::BadToken => "bad token",
            Self::BadRequest => "bad request",
            Self::Revoked => "revoked",
            Self::TooManyConnections => "too many connections",
        }
    }

    /// Whether a client that was closed with this number should come back by itself. Numbers
    /// outside 3000–3999 (RFC 6455's own) mean a broken connection: come back.
    #[must_use]
    pub const fn reconnects(code: u16) -> bool {
        !matches!(code, 3500..=3999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_the_table() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).expect("plain"), code.as_str());
        }
    }

    #[test]
    fn close_codes_stand_in_the_range_of_their_policy() {
        assert!(CloseCode::reconnects(CloseCode::Slow.code()));
        assert!(CloseCode::reconnects(1006));
        assert!(!CloseCode::reconnects(CloseCode::Revoked.code()));
    }
}
