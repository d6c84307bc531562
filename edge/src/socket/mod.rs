//! The WebSocket: `GET /v1/ws`.
//!
//! A session is a pure state machine ([`machine`], with [`tail`] for the order of what it hears)
//! inside a thin actor that owns the socket.

mod actor;
mod close;
mod decode;
pub mod machine;
pub mod tail;
mod typing;
mod upgrade;
mod work;

pub use upgrade::upgrade;
