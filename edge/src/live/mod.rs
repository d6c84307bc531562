//! The live tail: what NATS republishes after the store reaches every session that may hear it.
//!
//! The subject is the routing table: an edge subscribes for each connected user and once for each
//! group with a local member. A message is read, spliced and routed once, however many sessions
//! hear it, and each gets it through a bounded queue of its own.

mod doubt;
mod feed;
mod frame;
mod heads;
mod hub;
mod membership;
mod outlet;
mod reader;
mod route;
mod sessions;

pub use frame::{LiveMessage, Nudge};
pub use hub::Hub;
pub use outlet::{Delivery, Inlet, Outlet, QueueLimits, outlet};
pub use sessions::{Attached, Ear, OpenError};
