//! The WebSocket: `GET /v1/ws`.
//!
//! A session is a pure state machine ([`machine`], with [`tail`] for the order of what it hears)
//! inside a thin actor that owns the socket.

mod actor;
mod admission;
mod close;
mod decode;
pub mod machine;
pub mod tail;
mod typing;
mod upgrade;
mod watching;
pub mod wire;
mod work;

pub use admission::Admission;
pub use upgrade::upgrade;
