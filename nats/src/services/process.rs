//! `svc.process.<verb>` and `svc.process.<verb>.<process>`: what an operator asks of every process of a role
//! at once, or of one, for example with `nats req svc.process.info '' --replies 0`.
//!
//! Every process answers for itself: nobody shares these requests.

use serde::{Deserialize, Serialize};

use super::{names, verbs};
use crate::ids::ProcessId;

/// The most seconds that another log filter may hold: a day.
pub const LOG_FOR_S_MAX: u32 = 86_400;
/// For how many seconds another log filter holds if nothing is said.
pub const LOG_FOR_S: u32 = 600;

/// What runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {}

/// The answer to [`Info`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Which process; an edge's has the id of the edge.
    pub id: ProcessId,
    /// `edge`, `persister`, `presence` or `notifier`.
    pub role: String,
    /// The version of the program.
    pub version: String,
    /// Since when, in Unix milliseconds by that machine's clock.
    pub up_since: u64,
    /// The time there now, likewise: who asks sees how far clocks are apart.
    pub now: u64,
    /// What is logged. Absent where nothing was set up to log, as in tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogState>,
}

/// Logs something else for a while, without a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// A level, or directives such as `info,natterjack_edge=debug`; empty for what the process was started
    /// with.
    #[serde(default)]
    pub filter: String,
    /// For so many seconds, [`LOG_FOR_S`] if absent and at most [`LOG_FOR_S_MAX`]; then the process logs
    /// again what it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u32>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// Now.
    pub filter: String,
    /// What the process was started with.
    pub configured: String,
    /// Seconds until that holds again; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u32>,
}

/// The answer to [`Log`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// Which process.
    pub id: ProcessId,
    /// Its role.
    pub role: String,
    /// What it logs now.
    pub log: LogState,
}

verbs! { names::PROCESS =>
    Info as "info" -> ProcessInfo;
    Log as "log" -> Logging;
}
