//! The edge: WebSocket and HTTP in, NATS out. It never talks to Postgres.
//!
//! A client's frames become calls of [`ops`], the one implementation behind socket and HTTP; what
//! is stored comes back through [`live`] to every session that may hear it.

pub mod app;
pub mod args;
pub mod auth;
pub mod connections;
pub mod http;
pub mod live;
pub mod metrics;
pub mod ops;
pub mod page;
pub mod presence;
pub mod receipts;
pub mod socket;
mod start;

pub use app::App;
pub use args::Args;
pub use start::{Edge, run};

/// What the fuzz targets of several modules share.
#[cfg(test)]
#[path = "../../nats/fuzz/spoil.rs"]
mod spoil;
