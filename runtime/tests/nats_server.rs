//! A real nats-server under the supervisor: ready, killed, restarted, paused, stopped.

mod common;

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use natterjack_runtime::lifecycle::Tasks;
use natterjack_runtime::servers::{NatsConfig, NatsServer, ServerError};

async fn store(server: &NatsServer) -> anyhow::Result<jetstream::stream::Stream> {
    let client = async_nats::connect(server.url()).await?;
    let config = jetstream::stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec!["kept".to_owned()],
        ..Default::default()
    };
    Ok(jetstream::new(client).get_or_create_stream(config).await?)
}

#[tokio::test]
async fn acknowledged_messages_survive_a_kill_and_a_stop_on_the_same_port() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = NatsServer::start(&common::tools().await?, NatsConfig::new(dir.path())).await?;
    let (url, first_pid) = (server.url(), server.pid());
    store(&server).await?;
    let client = async_nats::connect(server.url()).await?;
    jetstream::new(client)
        .publish("kept", "one".into())
        .await?
        .await?;

    server.kill().await;
    server.restart().await?;
    ensure!(server.url() == url && server.pid() != first_pid);
    ensure!(store(&server).await?.cached_info().state.messages == 1);

    server.stop().await;
    let error = server.exited().await.to_string();
    ensure!(error.contains("nats-server ended"), "{error}");
    server.restart().await?;
    ensure!(store(&server).await?.cached_info().state.messages == 1);
    let error = server.restart().await.expect_err("it runs");
    ensure!(matches!(error, ServerError::StillRunning { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_server_itself_says_that_it_syncs_before_it_acknowledges() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut config = NatsConfig::new(dir.path());
    config.server_name = "a-\"quoted\"-name".to_owned();
    let server = NatsServer::start(&common::tools().await?, config).await?;
    let varz = common::http_get(&server.monitor_url(), "/varz").await?;
    let varz: serde_json::Value = serde_json::from_str(&varz)?;
    ensure!(varz["jetstream"]["config"]["sync_always"] == true, "{varz:#}");
    ensure!(varz["max_payload"] == 1024 * 1024);
    ensure!(varz["host"] == "127.0.0.1");
    ensure!(
        varz["ping_interval"] == 10_000_000_000_u64 && varz["ping_max"] == 2,
        "{varz:#}"
    );
    ensure!(varz["server_name"] == "a-\"quoted\"-name");
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_answers_with_its_last_lines() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    let mut config = NatsConfig::new(dir.path());
    config.extra = "no_such_setting: 1".to_owned();
    let error = NatsServer::start(&tools, config)
        .await
        .expect_err("the configuration is wrong");
    ensure!(error.to_string().contains("no_such_setting"), "{error}");

    let holder = TcpListener::bind(("127.0.0.1", 0))?;
    let mut config = NatsConfig::new(dir.path());
    config.port = Some(holder.local_addr()?.port());
    let error = NatsServer::start(&tools, config)
        .await
        .expect_err("the port is taken");
    ensure!(error.to_string().contains("address already in use"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_paused_server_answers_nothing_and_a_resumed_one_everything() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = NatsServer::start(&common::tools().await?, NatsConfig::new(dir.path())).await?;
    let client = async_nats::connect(server.url()).await?;
    let ask = || client.request("$JS.API.INFO", "".into());
    ask().await?;
    server.pause();
    common::until("the server is stopped", || {
        common::state_of(server.pid()) == Some('T')
    })
    .await?;
    let answer = ask();
    tokio::pin!(answer);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    ensure!(early.is_err(), "a stopped server answered");
    server.resume();
    tokio::time::timeout(common::PATIENCE, answer)
        .await
        .context("no answer after the resume")??;
    Ok(())
}

#[tokio::test]
async fn a_supervised_server_fails_the_whole_when_it_dies_and_stops_with_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = NatsServer::start(&common::tools().await?, NatsConfig::new(dir.path())).await?;
    let tasks = Tasks::new();
    server.supervise(&tasks);
    server.kill().await;
    let error = format!("{:#}", tasks.failed().await);
    ensure!(
        error.starts_with("task nats-server failed: nats-server ended"),
        "{error}"
    );
    ensure!(
        error.contains("Server is ready"),
        "it lacks the last lines: {error}"
    );

    server.restart().await?;
    let tasks = Tasks::new();
    server.supervise(&tasks);
    tasks.stop(common::PATIENCE).await?;
    ensure!(!common::alive(server.pid()));
    Ok(())
}
