//! The page for the worst days, docs/restore.md, rehearsed: everything is backed up while people talk, then the
//! disks of Postgres and of NATS are lost, and put back with the page's own lines. What people were told and given
//! is compared with what is there afterwards.

mod page;
mod postgres;
mod scene;
mod streams;

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use scene::Scene;

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "waited in vain for: {what}");
        sleep(POLL).await;
    }
}

/// One cluster serves all: what one rehearsal leaves behind is what the next one begins with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_is_put_back_by_the_lines_of_the_page() -> anyhow::Result<()> {
    let Some(mut scene) = Scene::start().await? else {
        return Ok(());
    };
    postgres::from_a_base_backup(&mut scene).await?;
    postgres::from_a_dump(&mut scene).await?;
    streams::with_the_buckets(&mut scene).await?;
    streams::with_a_snapshot_of_a_chat_stream(&mut scene).await?;
    streams::with_no_backup(&mut scene).await?;
    scene.finish().await
}
