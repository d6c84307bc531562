//! The load balancer sees that an edge drains, sends nobody there, and sees that it is back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::TryStreamExt as _;
use natterjack_nats::{
    EdgeId,
    access::User,
    cluster::{self, NatsArgs},
    services::edge::{Drain, Drained, Undrain},
    subjects::svc,
};
use reqwest::StatusCode;
use tokio::time::sleep;

use super::{net::Networks, stand::PUBLIC_NAME};

/// It looks every 2 s, and every 500 ms once a look failed: three of those, and an edge is left out; one that is fine,
/// and it is back.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
/// New connections while one edge drains. What is refused there is asked again elsewhere, and nobody would notice: it
/// is the load balancer's count that tells where they went.
const COMERS: usize = 20;

/// Drains one edge and takes that back.
pub async fn sees_a_drain(networks: &Networks, nats: NatsArgs) -> anyhow::Result<()> {
    let metrics = format!("http://{}:8404/metrics", networks.address("lb", "front")?);
    seen(&metrics, 2).await?;
    let client = cluster::connect_once(nats.login(User::Admin), "natterjack test", |_| {}).await?;
    let leases = async_nats::jetstream::new(client.clone())
        .get_key_value("edges")
        .await?;
    let edge = {
        let mut keys = std::pin::pin!(leases.keys().await?);
        keys.try_next().await?.context("no edge holds a lease")?
    };
    let edge: EdgeId = edge.parse()?;
    let ask = async |subject: String| -> anyhow::Result<Drained> {
        let answer = client.request(subject, "{}".into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    };
    ensure!(
        ask(svc::of_edge::<Drain>(edge)).await?.draining,
        "it does not drain"
    );
    let takes = seen(&metrics, 1).await?;
    let before = sent(&metrics).await?;
    ensure!(before.len() == 2, "{before:?}");
    for _ in 0..COMERS {
        // A connection of its own each.
        let status = reqwest::get(format!("https://{PUBLIC_NAME}/readyz"))
            .await?
            .status();
        ensure!(status == StatusCode::OK, "nobody takes who comes: {status}");
    }
    let after = sent(&metrics).await?;
    for (server, before) in before {
        let more = after.get(&server).context("a server that is gone")? - before;
        if takes.contains(&server) {
            ensure!(more >= COMERS, "{more} of {COMERS} came to {server}");
        } else {
            ensure!(more == 0, "{more} were sent to {server}, which drains");
        }
    }
    ensure!(
        !ask(svc::of_edge::<Undrain>(edge)).await?.draining,
        "it drains on"
    );
    seen(&metrics, 2).await?;
    Ok(())
}

/// Waits until so many edges are given new connections; which.
async fn seen(metrics: &str, expected: usize) -> anyhow::Result<BTreeSet<String>> {
    let begun = Instant::now();
    loop {
        let states = of_edges(metrics, "haproxy_server_status", ",state=\"UP\"").await?;
        let up = states.into_iter().filter(|(_, is_up)| *is_up == 1);
        let up: BTreeSet<String> = up.map(|(server, _)| server).collect();
        if up.len() == expected {
            println!(
                "the load balancer sees {expected} edges after {:?}",
                begun.elapsed()
            );
            return Ok(up);
        }
        ensure!(
            begun.elapsed() < SEEN_WITHIN,
            "the load balancer sees {up:?} rather than {expected} edges"
        );
        sleep(POLL).await;
    }
}

/// How often somebody was sent to each edge, by its name.
async fn sent(metrics: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    of_edges(metrics, "haproxy_server_sessions_total", "").await
}

/// A metric of the edges, by their names; `labels` are those after the name.
async fn of_edges(metrics: &str, name: &str, labels: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let text = reqwest::get(metrics).await?.error_for_status()?.text().await?;
    let (start, middle) = (
        format!("{name}{{proxy=\"edges\",server=\""),
        format!("\"{labels}}} "),
    );
    text.lines()
        .filter_map(|line| line.strip_prefix(&start)?.split_once(&middle))
        .map(|(server, value)| Ok((server.to_owned(), value.parse()?)))
        .collect()
}
