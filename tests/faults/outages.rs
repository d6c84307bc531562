//! Postgres away for a while.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::{crowd::Crowd, fleet, seed};

const CLIENTS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_messages_are_acknowledged_and_delivered_and_history_is_whole_later()
-> anyhow::Result<()> {
    let seed = seed();
    let fleet = fleet().await?;
    let mut crowd = Crowd::gather(&fleet.urls(), CLIENTS).await?;
    crowd.talk(seed);
    sleep(Duration::from_secs(2)).await;
    let postgres = fleet.ground().postgres().unwrap();
    postgres.stop().await;
    // What is said from now on is acknowledged and given to all while Postgres is away.
    let before = crowd.recorder.with_journal(|journal| journal.ack_count());
    sleep(Duration::from_secs(4)).await;
    crowd.hush().await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while crowd.recorder.open_count() > 0 {
        ensure!(
            Instant::now() < deadline,
            "{} without an ack",
            crowd.recorder.open_count()
        );
        sleep(Duration::from_millis(20)).await;
    }
    let during = crowd.recorder.with_journal(|journal| journal.ack_count()) - before;
    ensure!(during > 200, "{during} acknowledged without Postgres");
    while let Some(missing) = crowd.recorder.undelivered() {
        ensure!(
            Instant::now() < deadline,
            "acknowledged without Postgres and not given: {missing}"
        );
        sleep(Duration::from_millis(20)).await;
    }
    postgres.restart().await?;
    crowd.check().await?;
    crowd.leave().await?;
    fleet.finish().await
}
