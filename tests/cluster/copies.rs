//! Copies of streams: from one to three, and where they are.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use async_nats::jetstream::{self, stream::ClusterInfo};
use futures::TryStreamExt as _;
use tokio::time::sleep;

use super::stage::Stage;

/// How long copies may take to be whole, on a busy machine; there is not much in them.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
const THREE: &str = "natterjack provision --replicas 3 --apply";

/// A cluster that began with one copy of each stream gets three, while people talk.
pub async fn from_one_to_three(stage: &mut Stage) -> anyhow::Result<()> {
    let Some(console) = &mut stage.console else {
        return Ok(());
    };
    let said = console
        .leaves_something("natterjack provision --replicas 3")
        .await?;
    ensure!(said.contains("stream CHAT_0: num_replicas is 1, not 3"), "{said}");
    let said = console.leaves_something(THREE).await?;
    for what in ["updated  stream CHAT_0", "updated  bucket devices"] {
        ensure!(said.contains(what), "{said}");
    }
    // All but the one that has to be made anew, which it says with the command.
    let rm = "nats --context natterjack-admin stream rm PUSH_TRACE --force";
    for line in said.lines().filter(|line| line.starts_with("differs")) {
        ensure!(
            line.contains("stream PUSH_TRACE") && line.contains("left alone"),
            "{line}"
        );
    }
    ensure!(said.contains(&format!("`{rm}`")), "{said}");
    console.does(rm).await?;
    let said = console.does(THREE).await?;
    ensure!(said.contains("created  stream PUSH_TRACE"), "{said}");
    are_on(stage, &["nats-1", "nats-2", "nats-3"]).await?;
    stage.nobody_was_dropped((Duration::ZERO, 0))
}

/// Waits until each stream and each consumer has a leader and whole copies on just these servers.
pub async fn are_on(stage: &Stage, servers: &[&str]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let servers: BTreeSet<&str> = servers.iter().copied().collect();
    let context = stage.jetstream().await?;
    loop {
        match missing(&context, &servers).await {
            Ok(None) => break,
            Ok(Some(what)) => ensure!(begun.elapsed() < WHOLE_WITHIN, "{what}"),
            // A stream may be without a leader for a moment.
            Err(error) => ensure!(begun.elapsed() < WHOLE_WITHIN, "{error:#}"),
        }
        sleep(POLL).await;
    }
    println!("whole copies on {servers:?} after {:?}", begun.elapsed());
    Ok(())
}

/// Which stream or consumer has none, if there is one.
async fn missing(context: &jetstream::Context, servers: &BTreeSet<&str>) -> anyhow::Result<Option<String>> {
    let streams: Vec<_> = context.streams().try_collect().await?;
    ensure!(!streams.is_empty(), "no streams");
    for info in streams {
        let name = &info.config.name;
        if let Some(why) = away(info.cluster.as_ref(), servers) {
            return Ok(Some(format!("{name}: {why}")));
        }
        let stream = context.get_stream_no_info(name).await?;
        let consumers: Vec<_> = stream.consumers().try_collect().await?;
        for consumer in consumers {
            // Those of a process that reads a bucket end with it, and have one copy.
            if consumer.config.durable_name.is_none() {
                continue;
            }
            if let Some(why) = away(consumer.cluster.as_ref(), servers) {
                return Ok(Some(format!("{name} > {}: {why}", consumer.name)));
            }
        }
    }
    Ok(None)
}

fn away(cluster: Option<&ClusterInfo>, servers: &BTreeSet<&str>) -> Option<String> {
    let Some((leader, replicas)) = cluster.and_then(|info| Some((info.leader.as_deref()?, &info.replicas)))
    else {
        return Some("no leader".to_owned());
    };
    if let Some(copy) = replicas.iter().find(|copy| copy.offline || !copy.current) {
        return Some(format!("its copy on {} is not whole", copy.name));
    }
    let names = replicas.iter().map(|copy| copy.name.as_str());
    let names: BTreeSet<&str> = names.chain([leader]).collect();
    (names != *servers).then(|| format!("it is on {names:?}"))
}

/// Which server leads a consumer.
pub async fn leader(context: &jetstream::Context, stream: &str, consumer: &str) -> anyhow::Result<String> {
    let stream = context.get_stream_no_info(stream).await?;
    let info = stream.consumer_info(consumer).await?;
    info.cluster
        .and_then(|cluster| cluster.leader)
        .context("no leader")
}
