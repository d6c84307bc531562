//! Every NATS subject, one file a family: build, parse, wildcard. No subject is formatted anywhere
//! else.

pub mod chat;
pub mod kv;
pub mod live;
pub mod presence;
pub mod push;
pub mod receipt;
pub mod svc;
pub mod system;
