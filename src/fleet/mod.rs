//! A whole Natterjack on this machine for tests, benchmarks and fault runs: real servers in a
//! directory of their own, and the roles above them.
//!
//! [`Ground`] is nats-server and Postgres, provisioned. On it stands either a [`House`], whose
//! roles run in this process and start within milliseconds, or a [`Fleet`], whose roles are
//! processes that can be killed and held still. Both end with `finish`, which fails if anything
//! was left behind: a message that was not persisted, a dead letter, a task or a process that
//! failed. Until then the directory is kept, so that a failed test leaves all its logs.

pub mod audit;
mod ground;
mod house;
mod link;
mod nats_nodes;
mod phones;
mod processes;
pub mod push_service;
mod refusals;
mod role;
mod scratch;
mod socket;

pub use ground::{Ground, GroundConfig};
pub use house::House;
pub use link::{Link, Weather};
pub use nats_nodes::NatsNodes;
pub use phones::{Phones, Taken};
pub use processes::{Fleet, FleetConfig};
pub use role::RoleProcess;
pub use scratch::Scratch;
pub use socket::Socket;
