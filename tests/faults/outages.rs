//! Postgres away for a while, and an edge that is held still.

use std::time::Duration;

use anyhow::ensure;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::{crowd::Crowd, fleet, seed};

const CLIENTS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgres_messages_are_acknowledged_and_delivered_and_history_is_whole_later()
-> anyhow::Result<()> {
    let seed = seed();
    let fleet = fleet().await?;
    let mut crowd = Crowd::gather(&fleet, CLIENTS).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_is_held_still_loses_nothing() -> anyhow::Result<()> {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let fleet = fleet().await?;
    let mut crowd = Crowd::gather(&fleet, CLIENTS).await?;
    crowd.talk(seed);
    for round in 0..4 {
        sleep(Duration::from_millis(random.random_range(200..1_000))).await;
        let edge = fleet.edges[round % 2].program();
        edge.pause();
        sleep(Duration::from_millis(random.random_range(500..3_000))).await;
        edge.resume();
    }
    crowd.check().await?;
    crowd.leave().await?;
    fleet.finish().await
}
