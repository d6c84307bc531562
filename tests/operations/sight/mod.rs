//! What an operator sees: metrics, alerts, the dashboard, traces, logs, and what processes say of themselves.

mod alerts;
mod dashboard;
mod logs;
mod metrics;
mod page;
mod process;
mod prometheus;
mod receiver;
mod scene;
mod traces;

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use self::prometheus::Prometheus;

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file of the project.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Asks again and again until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "waited in vain for: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// One cluster of processes serves all: it takes longer to start than to look at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_a_cluster_does_and_nobodys_words() -> anyhow::Result<()> {
    let mut scene = scene::Scene::start().await?;
    // Before there is something to see: what counts is what grows.
    let prometheus = match prometheus::program().await? {
        Some(program) => Some(Prometheus::start(program, &scene).await?),
        None => None,
    };
    scene.talk().await?;
    metrics::look(&scene).await?;
    traces::look(&scene).await?;
    process::look(&scene).await?;
    logs::look(&scene)?;
    if let Some(prometheus) = prometheus {
        prometheus.look(&scene).await?;
        prometheus.tell(&scene).await?;
        prometheus.stop().await?;
    }
    scene.finish().await
}
