//! When messages are fetched and written: a lone one at once, more by the batch, a backlog without
//! a rest. The rest between batches is longer than the tests are patient.

mod common;

use std::time::Duration;

use anyhow::ensure;
use common::{World, user};
use natterjack_nats::Conversation;
use natterjack_runtime::{clock::Clock, lifecycle::Tasks, metrics::Metrics};

/// Longer than a test may take.
const REST: Duration = Duration::from_secs(600);

async fn world() -> anyhow::Result<(World, Conversation)> {
    let mut world = World::start().await?;
    world.args.ingest_age_ms = u64::try_from(REST.as_millis())?;
    Ok((world, Conversation::dm(user(1), user(2))))
}

/// Batches that were written so far.
fn batches(metrics: &Metrics) -> anyhow::Result<u64> {
    let text = metrics.encode();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("natterjack_ingest_batch_messages_count"));
    let number = line.and_then(|line| line.split_whitespace().last());
    Ok(number.unwrap_or("0").parse()?)
}

#[tokio::test]
async fn a_lone_message_does_not_wait_and_a_backlog_is_one_batch() -> anyhow::Result<()> {
    let (world, dm) = world().await?;
    for number in 0..60 {
        world.text(dm, user(1), &format!("text {number}")).await?;
    }
    let (tasks, metrics) = (Tasks::new(), Metrics::new("persister"));
    natterjack_persister::run_with(&world.args, &tasks, Clock::system(), metrics.clone()).await?;
    world.settled().await?;
    ensure!(batches(&metrics)? == 1, "{}", metrics.encode());
    tasks.stop(common::PATIENCE).await?;

    // A new one has not rested yet: it waits for whatever comes first, and writes that alone.
    let (tasks, metrics) = (Tasks::new(), Metrics::new("persister"));
    natterjack_persister::run_with(&world.args, &tasks, Clock::system(), metrics.clone()).await?;
    world.text(dm, user(1), "alone").await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 61);
    ensure!(batches(&metrics)? == 1, "{}", metrics.encode());
    tasks.stop(common::PATIENCE).await
}

#[tokio::test]
async fn more_than_one_batch_takes_is_fetched_without_a_rest() -> anyhow::Result<()> {
    let (mut world, dm) = world().await?;
    world.args.ingest_batch_max = 10;
    for number in 0..55 {
        world.text(dm, user(1), &format!("text {number}")).await?;
    }
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 55);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn nor_does_it_rest_where_bytes_are_the_bound() -> anyhow::Result<()> {
    let (mut world, dm) = world().await?;
    world.args.ingest_bytes_max = 1_000_000;
    // Each fills a batch, and all of them are more than is fetched at a time.
    let text = "x".repeat(900_000);
    for _ in 0..9 {
        world.text(dm, user(1), &text).await?;
    }
    let (tasks, metrics) = (Tasks::new(), Metrics::new("persister"));
    natterjack_persister::run_with(&world.args, &tasks, Clock::system(), metrics.clone()).await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 9);
    // Two at a time at the most: the second goes beyond the bound.
    ensure!(batches(&metrics)? >= 5, "{}", metrics.encode());
    tasks.stop(common::PATIENCE).await
}
