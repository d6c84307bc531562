//! Servers: how they sync, and three of them.

use std::time::Duration;

use natterjack::fleet::NatsNodes;
use natterjack_nats::{
    cluster, provision,
    topology::{PUSH_TRACE, Settings},
};
use natterjack_runtime::servers::{NatsConfig, NatsServer, SilentProgress, Tools, testing_tools_dir};
use serde_json::json;
use tokio::time::Instant;

use super::patient::{Seen, doctor};

/// Copies of every stream are made, and missed, within this on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Looks until that is seen.
pub async fn until(options: &[&str], shown: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
    let deadline = Instant::now() + SEEN_WITHIN;
    loop {
        let seen = doctor(options).await?;
        if shown(&seen) {
            return Ok(seen);
        }
        anyhow::ensure!(Instant::now() < deadline, "{:#}", seen.report);
    }
}

#[tokio::test]
async fn a_server_that_acknowledges_before_it_syncs_is_found_and_nothing_is_made() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let mut config = NatsConfig::new(dir.path().join("nats"));
    // The last block of that name counts: the server's own default of two minutes.
    config.extra = format!("jetstream {{ store_dir: {} }}", json!(dir.path().join("store")));
    let server = NatsServer::start(&tools, config).await?;
    let seen = doctor(&[
        "--nats-url",
        &server.url(),
        "--nats-monitor",
        &server.monitor_url(),
    ])
    .await?;
    assert_eq!(seen.code, Some(1));
    let words = seen.words("nats.sync");
    assert!(
        words.contains("every 2 min") && words.contains("sync_interval: always"),
        "{words}"
    );
    // Nothing was provisioned here, which is said, and not mended behind anybody's back.
    assert!(seen.words("streams.shards").contains("natterjack provision"));
    let client = cluster::connect(server.url(), "doctor test", |_| {}).await?;
    let account = async_nats::jetstream::new(client).query_account().await?;
    assert_eq!((account.streams, account.consumers), (0, 0));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_on_three_servers_and_a_server_that_is_away_are_found() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let nodes = NatsNodes::start(&tools, dir.path(), 3).await?;
    nodes.provision(&Settings::default()).await?;
    let urls = nodes.urls();
    let monitors: Vec<String> = nodes.servers().iter().map(NatsServer::monitor_url).collect();
    let monitors = monitors.join(",");
    let options = ["--nats-url", urls.as_str(), "--nats-monitor", monitors.as_str()];
    let seen = doctor(&options).await?;
    let words = seen.words("streams.replicas");
    assert!(words.contains("1 copy each, on 3 servers"), "{words}");
    // Who may not ask the servers does not take it for one: these do not tell clients of each other.
    let seen = doctor(&["--nats-url", urls.as_str()]).await?;
    let words = seen.words("streams.replicas");
    assert!(
        words.contains("1 copy each, on 3 servers") || words.contains("1 copy each, and how many servers"),
        "{words}"
    );
    let three = Settings {
        replicas: 3,
        ..Settings::default()
    };
    let client = cluster::connect(nodes.urls(), "doctor test", |_| {}).await?;
    let context = async_nats::jetstream::new(client);
    // It does without syncs as long as there is one copy, which no stream can be changed to or from.
    context.delete_stream(PUSH_TRACE).await?;
    provision::provision(&context, &three, true).await?;
    until(&options, |seen| seen.words("streams.replicas").is_empty()).await?;
    let away = &nodes.servers()[2];
    away.stop().await;
    let others = monitors
        .rsplit_once(',')
        .map_or(monitors.as_str(), |(others, _)| others);
    let options = ["--nats-url", urls.as_str(), "--nats-monitor", others];
    until(&options, |seen| {
        let words = seen.words("streams.replicas");
        words.contains("CHAT_0: its copy on nats-2 is away") && words.contains("KV_cluster: ")
    })
    .await?;
    away.restart().await?;
    until(&options, |seen| seen.words("streams.replicas").is_empty()).await?;
    for server in nodes.servers() {
        server.stop().await;
    }
    Ok(())
}
