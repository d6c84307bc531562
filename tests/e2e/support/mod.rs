//! What the scenarios share: a stage with two edges, users, raw sockets, a proxy in front of NATS.

pub mod answers;
pub mod database;
pub mod panics;
pub mod proxy;
pub mod raw;
pub mod signer;
pub mod stage;
pub mod user;
pub mod watcher;

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer.
pub async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < deadline, "waited in vain for: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits with the usual patience.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .with_context(|| format!("waited in vain for: {what}"))
}
