//! A key that leaked is replaced while people talk: the old one lets nobody in any more, and who was in is out.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use natterjack_nats::cluster::{self, NatsArgs};
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::stage::{Stage, nats};

/// How long servers may take to read their configuration again.
const RELOADED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
const SERVERS: [&str; 3] = ["nats-1", "nats-2", "nats-3"];

/// The key of the edges.
pub async fn a_key_is_replaced(stage: &mut Stage) -> anyhow::Result<()> {
    let (config, key) = (stage.config.clone(), stage.config.join("nkeys/edge.nk"));
    let old = config.with_file_name("leaked.nk");
    fs::copy(&key, &old)?;
    let public = nkeys::KeyPair::from_seed(fs::read_to_string(&old)?.trim())?.public_key();
    let Some(console) = &mut stage.console else {
        return Ok(());
    };
    console.does("rm DIR/nkeys/edge.nk").await?;
    let said = console.does("natterjack provision --write-config DIR").await?;
    for file in ["nkeys/edge.nk", "nats/accounts.conf"] {
        ensure!(said.contains(file), "{said}");
    }
    ensure!(
        logs_in(&config, &old).await && !logs_in(&config, &key).await,
        "nothing was reloaded yet"
    );
    ensure!(connected(&public).await? > 0, "no edge is there");
    for server in SERVERS {
        let pid = stage.cluster.of(server)?.pid()?.to_string();
        let Some(console) = &mut stage.console else {
            return Ok(());
        };
        console
            .does_with("nats-server --signal reload=<pid>", &[("<pid>", &pid)])
            .await?;
    }
    taken(&config, &old, &key).await?;
    let begun = Instant::now();
    while connected(&public).await? > 0 {
        ensure!(
            begun.elapsed() < RELOADED_WITHIN,
            "the old key's connections go on"
        );
        sleep(POLL).await;
    }
    // They get the new file as they are created anew.
    let edges = ["edge-1", "edge-2"];
    for edge in edges {
        stage.cluster.of(edge)?.signal(Signal::SIGTERM)?;
    }
    for edge in edges {
        stage.cluster.of(edge)?.ended().await?;
        stage.cluster.of(edge)?.start()?;
    }
    for edge in edges {
        stage.cluster.healthy(edge).await?;
    }
    Ok(())
}

/// Waits until every server lets the new key in, and none the old one.
pub async fn taken(config: &Path, old: &Path, new: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    while logs_in(config, old).await || !logs_in(config, new).await {
        ensure!(
            begun.elapsed() < RELOADED_WITHIN,
            "the servers go on with the old key"
        );
        sleep(POLL).await;
    }
    Ok(())
}

/// Whether every server lets this key in.
pub async fn logs_in(config: &Path, nkey: &Path) -> bool {
    for server in SERVERS {
        let args = NatsArgs {
            url: format!("tls://{server}:4222"),
            ..nats(config, nkey)
        };
        if cluster::connect_once(args, "natterjack test", |_| {})
            .await
            .is_err()
        {
            return false;
        }
    }
    true
}

/// How many connections there are with a key.
async fn connected(public: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    for server in SERVERS {
        let page = format!("http://{server}:8222/connz?auth=true&limit=1000");
        let page: serde_json::Value = reqwest::get(&page).await?.json().await?;
        let all = page["connections"].as_array().context("connections")?;
        count += all.iter().filter(|one| one["authorized_user"] == public).count();
    }
    Ok(count)
}
