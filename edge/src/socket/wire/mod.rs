//! WebSocket framing (RFC 6455) for very many sockets that are idle most of the time.
//!
//! A socket that says nothing has no buffer in either direction: bytes are read once the kernel has
//! some, and what is written goes from the frames that all sessions share straight to the kernel,
//! headers beside them, in one call for a batch. Headers are read and written by `tungstenite`.

mod reader;
mod socket;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
mod writer;

pub use socket::Socket;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A whole binary message, which nobody wants to see.
    Binary,
    /// To be answered with the same bytes.
    Ping(Bytes),
    /// An answer to a ping, or just a sign of life.
    Pong,
    /// The client closes.
    Close,
}

/// What a client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text message.
    Text(Utf8Bytes),
    /// Are you there?
    Ping,
    /// The answer to a client's ping, with its bytes.
    Pong(Bytes),
    /// The end, with a code and a reason of at most 123 bytes.
    Close(u16, &'static str),
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// What came is not what RFC 6455 allows a client to send.
    #[error("the client does not keep to the WebSocket protocol: {0}")]
    Protocol(&'static str),
    /// A message is larger than allowed.
    #[error("a message is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection is gone.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
