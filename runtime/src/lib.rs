//! What every role needs and none owns: lifecycle, telemetry, health, clock, child servers.
//!
//! Nothing here knows about chat, subjects or tables, and nothing here is global
//! (the tracing subscriber excepted): any number of roles fit into one process.

pub mod clock;
pub mod health;
pub mod lifecycle;
pub mod metrics;
pub mod outbound;
pub mod server_time;
pub mod servers;
pub mod skipped;
pub mod telemetry;
pub mod trace;

pub use lifecycle::{Shutdown, Tasks};
pub use telemetry::LogArgs;
