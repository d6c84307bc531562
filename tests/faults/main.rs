//! Faults on real processes under load: SIGKILL and SIGSTOP of edges, the persister, nats-server
//! and Postgres, each of which comes back after a while.
//!
//! What may fail while a fault lasts: connections, and with them presence of mind: acks are late,
//! messages arrive late, history and log-ins answer `unavailable` or `timeout`.
//!
//! What must not fail, ever: a message that was acknowledged is in history exactly once, at the
//! place that the ack named; nothing is in history that nobody sent; whatever was sent is
//! acknowledged in the end; every receiver was given every message of its conversations once, in
//! the one order, without a hole; no role ends or panics by itself; nothing stays unpersisted, and
//! there are no dead letters.
//!
//! The order of faults comes from a seed that is printed; `NATTERJACK_SEED` repeats one.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod crowd;
mod kills;
mod outages;

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
