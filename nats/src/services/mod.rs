//! The micro services (`svc.<service>.<verb>`): which verbs there are, what they take and answer.
//!
//! They follow NATS ADR-32, so that `nats micro ls`, `info` and `stats` show them. A failure
//! carries the service error headers and the [`WireError`] as its payload.

pub mod accounts;
mod call;
pub mod conversations;
pub mod edge;
pub mod history;
pub mod presence;
pub mod process;
pub mod push;

pub use call::{ServiceReply, call};
use serde::{Serialize, de::DeserializeOwned};

/// The names of the services. Each is one queue group of however many processes of its role there are,
/// but [`EDGE`](names::EDGE) and [`PROCESS`](names::PROCESS), where each answers for itself.
pub mod names {
    /// Accounts, devices and tokens.
    pub const ACCOUNTS: &str = "accounts";
    /// Groups, members, and the conversation list.
    pub const CONVERSATIONS: &str = "conversations";
    /// Messages that were, and resume.
    pub const HISTORY: &str = "history";
    /// Who is there, and through which edges.
    pub const PRESENCE: &str = "presence";
    /// What an operator asks the notifier.
    pub const PUSH: &str = "push";
    /// What an operator asks of one edge.
    pub const EDGE: &str = "edge";
    /// What an operator asks of every process, whatever its role.
    pub const PROCESS: &str = "process";
}

/// One verb of one service. The implementing type is the request.
pub trait Verb: Serialize + DeserializeOwned + Send + 'static {
    /// The service's name.
    const SERVICE: &'static str;
    /// The verb's name.
    const NAME: &'static str;
    /// What is answered.
    type Reply: Serialize + DeserializeOwned + Send;
}

/// Binds request types to their service, name and reply.
macro_rules! verbs {
    ($service:expr => $($request:ident as $name:literal -> $reply:ty;)*) => {
        $(impl $crate::services::Verb for $request {
            const SERVICE: &'static str = $service;
            const NAME: &'static str = $name;
            type Reply = $reply;
        })*
        /// The verbs of this service.
        pub const VERBS: &[&str] = &[$($name,)*];
    };
}
use verbs;

/// Nothing to say beyond success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {}
