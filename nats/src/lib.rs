//! The contract between Natterjack's parts.
//!
//! Roles never depend on each other: they meet here. This crate names every subject, stream,
//! consumer, bucket and service, says what travels on each, and provisions them idempotently.

pub mod access;
pub mod cluster;
pub mod conversation;
pub mod direct;
pub mod follow;
pub mod headers;
pub mod ids;
pub mod limits;
pub mod marker;
pub mod provision;
pub mod services;
pub mod shard;
pub mod subjects;
pub mod topology;
pub mod trace;
pub mod wire;

pub use conversation::{Conversation, Dm};
pub use ids::{DeviceId, EdgeId, GroupId, MessageId, ProcessId, RequestId, SessionId, UserId};
pub use shard::{Shard, Shards};
