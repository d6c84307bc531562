//! Every process of a role, asked for itself: its version, and the time by its clock.

use async_nats::Client;
use natterjack_nats::{
    services::process::{Info, ProcessInfo},
    subjects::svc,
};

use super::{Missing, Seen, scatter, servers::now_ms};

/// One process of a role.
#[derive(Debug, Clone)]
pub struct Process {
    /// What it says of itself.
    pub info: ProcessInfo,
    /// How far its clock is ahead of ours, in milliseconds.
    pub ahead_ms: i64,
    /// By how much that may be wrong, in milliseconds.
    pub clock_error_ms: i64,
}

/// Asks all of them.
pub async fn look(client: &Client) -> Seen<Vec<Process>> {
    let asked_ms = now_ms();
    let answers = scatter::ask(client, svc::subject::<Info>()).await;
    let answers = answers.map_err(|why| {
        Missing::away(
            format!("the processes could not be asked: {why}"),
            "look at the connection to NATS",
        )
    })?;
    let processes = answers.iter().filter_map(|answer| {
        let info: ProcessInfo = serde_json::from_slice(&answer.payload).ok()?;
        let said_ms = i64::try_from(info.now).ok()?;
        Some(Process {
            info,
            ahead_ms: said_ms - i64::midpoint(asked_ms, answer.heard_ms),
            clock_error_ms: (answer.heard_ms - asked_ms) / 2,
        })
    });
    Ok(processes.collect())
}
