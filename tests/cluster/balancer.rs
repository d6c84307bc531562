//! The load balancer sees that an edge drains, sends nobody there, and sees that it is back.

use std::time::{Duration, Instant};

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

/// It looks once a second.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
/// New connections while one edge drains.
const COMERS: usize = 20;

/// Drains one edge and takes that back.
pub async fn sees_a_drain(networks: &Networks, nats: NatsArgs) -> anyhow::Result<()> {
    let metrics = format!("http://{}:8404/metrics", networks.address("lb", "front")?);
    ensure!(up(&metrics).await? == 2, "not all edges take connections");
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
    seen(&metrics, 1).await?;
    for _ in 0..COMERS {
        // A connection of its own each.
        let status = reqwest::get(format!("https://{PUBLIC_NAME}/readyz"))
            .await?
            .status();
        ensure!(
            status == StatusCode::OK,
            "somebody was sent to the edge that drains: {status}"
        );
    }
    ensure!(
        !ask(svc::of_edge::<Undrain>(edge)).await?.draining,
        "it drains on"
    );
    seen(&metrics, 2).await
}

/// Waits until so many edges are given new connections.
async fn seen(metrics: &str, expected: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    while up(metrics).await? != expected {
        ensure!(
            begun.elapsed() < SEEN_WITHIN,
            "the load balancer does not see {expected} edges"
        );
        sleep(POLL).await;
    }
    println!(
        "the load balancer sees {expected} edges after {:?}",
        begun.elapsed()
    );
    Ok(())
}

/// How many edges the load balancer gives new connections.
async fn up(metrics: &str) -> anyhow::Result<usize> {
    let text = reqwest::get(metrics).await?.error_for_status()?.text().await?;
    let of_edges = |line: &&str| {
        line.starts_with("haproxy_server_status{proxy=\"edges\",") && line.contains("state=\"UP\"")
    };
    Ok(text
        .lines()
        .filter(of_edges)
        .filter(|line| line.ends_with(" 1"))
        .count())
}
