//! `svc.edge.<verb>.<edge>`: what an operator asks of one edge, for example with
//! `nats req svc.edge.drain.01j… ''`.

use serde::{Deserialize, Serialize};

use super::{names, verbs};

/// Takes no new connections and closes those that are open, spread over a while. The process goes on,
/// empty, until it is stopped or told to [`Undrain`].
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Drain {}

/// Takes connections again.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Undrain {}

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Whether the edge drains.
    pub draining: bool,
    /// Connections that are still open.
    pub connections: u32,
}

verbs! { names::EDGE =>
    Drain as "drain" -> Drained;
    Undrain as "undrain" -> Drained;
}
