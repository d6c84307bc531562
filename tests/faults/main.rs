//! Faults on real processes under load.
//!
//! `torture` runs `natterjack torture` on a short, fixed set of seeds, and once on
//! a cluster of three nats-servers: SIGKILL and SIGSTOP of everything, links that are cut, held up,
//! late and narrow, full disks, wrong clocks, slow clients and clients that come and go. `outages`
//! holds what a run of faults cannot: that there are acks and deliveries *while* Postgres is away.
//!
//! `presence` shows who is online while edges, presence processes and NATS are killed, held still and
//! restarted. `memory` is what an edge's memory may be.
//!
//! What may fail while a fault lasts: connections, and with them presence of mind: acks are late,
//! messages arrive late, history and log-ins answer `unavailable` or `timeout`.
//!
//! What must not fail, ever, is in `src/check/rules/`, one function a promise.
//!
//! A run prints its seed and the command that repeats it.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

#[path = "../shared/crowd.rs"]
mod crowd;
mod memory;
mod outages;
mod presence;
#[path = "../shared/browsers.rs"]
mod programs;
mod push;
mod torture;

use std::path::Path;

use natterjack::fleet::{Fleet, FleetConfig, Ground, GroundConfig};
use natterjack_runtime::clock::Clock;

/// Two edges and a persister as processes, on servers of their own.
async fn fleet() -> anyhow::Result<Fleet> {
    let ground = Ground::start(GroundConfig::default()).await?;
    let binary = Path::new(env!("CARGO_BIN_EXE_natterjack"));
    Fleet::start(ground, &FleetConfig::new(binary)).await
}

/// The seed of this run, told so that it can be repeated.
fn seed() -> u64 {
    let given = std::env::var("NATTERJACK_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| Clock::system().now_ms());
    println!("NATTERJACK_SEED={seed}");
    seed
}
