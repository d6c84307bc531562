//! A stream without a leader and servers that are away are named, and hide nothing of the others.

use std::collections::BTreeSet;

use anyhow::Context as _;
use async_nats::jetstream::{self, Context};
use natterjack::fleet::NatsNodes;
use natterjack_nats::{
    cluster,
    topology::{Bucket, PUSH_TRACE, Settings, chat_stream},
};
use natterjack_runtime::servers::{NatsServer, SilentProgress, Tools, testing_tools_dir};

use super::cluster::until;

/// The servers that hold a stream.
async fn holders(context: &Context, stream: &str) -> anyhow::Result<BTreeSet<String>> {
    let stream = context.get_stream(stream).await?;
    let cluster = stream.cached_info().cluster.clone().unwrap_or_default();
    let copies = cluster.replicas.into_iter().map(|copy| copy.name);
    Ok(copies.chain(cluster.leader).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_leader_hides_nothing_of_the_others() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    // Two of five may go, and JetStream itself goes on.
    let nodes = NatsNodes::start(&tools, dir.path(), 5).await?;
    let settings = Settings {
        replicas: 3,
        ..Settings::default()
    };
    nodes.provision(&settings).await?;
    let context = jetstream::new(cluster::connect(&nodes.urls(), "doctor test", |_| {}).await?);
    context.delete_stream(PUSH_TRACE).await?;
    // Two that hold a chat stream, and not both the bucket that says how many there should be.
    let kept = holders(&context, &Bucket::Cluster.stream_name()).await?;
    let mut chosen = None;
    for shard in settings.shards.all() {
        let held = holders(&context, &chat_stream(shard)).await?;
        if let Some(only) = held.difference(&kept).next() {
            let other = held.iter().find(|name| *name != only).context("three copies")?;
            chosen = Some((chat_stream(shard), [only.clone(), other.clone()]));
        }
    }
    let (lost, away) = chosen.context("all chat streams are where the bucket is")?;
    let (away, here): (Vec<_>, Vec<_>) = nodes
        .servers()
        .iter()
        .enumerate()
        .partition(|(index, _)| away.contains(&format!("nats-{index}")));
    let server = |(_, server): (usize, _)| server;
    let away: Vec<&NatsServer> = away.into_iter().map(server).collect();
    let here: Vec<&NatsServer> = here.into_iter().map(server).collect();
    let list = |urls: Vec<String>| urls.join(",");
    let urls = list(here.iter().map(|server| server.url()).collect());
    let monitors = list(nodes.servers().iter().map(NatsServer::monitor_url).collect());
    for server in &away {
        server.stop().await;
    }
    let options = ["--nats-url", urls.as_str(), "--nats-monitor", monitors.as_str()];
    let seen = until(&options, |seen| {
        let says = |check: &str, words: &str| seen.words(check).contains(words);
        says("streams.replicas", &format!("{lost}: has no leader"))
            && says("streams.topology", &format!("stream {PUSH_TRACE}: is missing"))
    })
    .await?;
    assert!(
        seen.words("streams.lag")
            .contains(&format!("{lost}: has no leader")),
        "{:#}",
        seen.report
    );
    assert!(
        seen.words("streams.topology").contains(&lost),
        "{:#}",
        seen.report
    );
    // The number of shards is known, and every chat stream is still counted.
    assert_eq!(seen.words("streams.shards"), "", "{:#}", seen.report);
    let servers = seen.words("nats.servers");
    for server in away {
        assert!(servers.contains(&server.monitor_url()), "{servers}");
    }
    // The other three are looked at.
    assert_eq!(seen.words("nats.sync"), "", "{:#}", seen.report);
    assert_eq!(seen.words("nats.version"), "", "{:#}", seen.report);
    for server in here {
        server.stop().await;
    }
    Ok(())
}
