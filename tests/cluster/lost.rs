//! Servers that are lost with their disks, while people talk.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::{
    copies::{are_on, leader},
    doctor,
    stage::Stage,
};

const ELECTED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// Another server leads the consumer of history.
pub async fn another_leads(stage: &mut Stage) -> anyhow::Result<()> {
    let context = stage.jetstream().await?;
    let Some(console) = &mut stage.console else {
        return Ok(());
    };
    let before = leader(&context, "CHAT_0", "persister").await?;
    console
        .does("nats --context natterjack-admin consumer cluster step-down CHAT_0 persister")
        .await?;
    let begun = Instant::now();
    while leader(&context, "CHAT_0", "persister")
        .await
        .is_ok_and(|now| now == before)
    {
        ensure!(begun.elapsed() < ELECTED_WITHIN, "{before} leads as before");
        sleep(POLL).await;
    }
    Ok(())
}

/// Waits until a server that runs leads all of them.
async fn others_lead() -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let page: serde_json::Value = reqwest::get("http://nats-1:8222/jsz").await?.json().await?;
        let leader = page["meta_cluster"]["leader"].as_str().unwrap_or_default();
        if ["nats-1", "nats-2"].contains(&leader) {
            return Ok(());
        }
        ensure!(begun.elapsed() < ELECTED_WITHIN, "{leader:?} leads");
        sleep(POLL).await;
    }
}

/// A server dies and its disk with it. It comes back under its name, empty, and is filled from the others.
pub async fn a_disk_is_lost(stage: &mut Stage) -> anyhow::Result<()> {
    stage.cluster.of("nats-2")?.die().await?;
    doctor::misses(stage, "nats-2").await?;
    stage.cluster.lose_volume("nats-2")?;
    stage.cluster.of("nats-2")?.start()?;
    stage.cluster.healthy("nats-2").await?;
    are_on(stage, &["nats-1", "nats-2", "nats-3"]).await
}

/// A server never comes back, and one with another name takes its place. From here on what the first one was filled
/// with counts: it is one of the two that are left.
pub async fn a_server_is_replaced(stage: &mut Stage) -> anyhow::Result<()> {
    if stage.console.is_none() {
        return Ok(());
    }
    stage.cluster.of("nats-3")?.die().await?;
    stage.cluster.lose_volume("nats-3")?;
    let Some(console) = &mut stage.console else {
        return Ok(());
    };
    let report = "nats --context natterjack-system server report jetstream";
    console.does(report).await?;
    // If it was the one that led, the others elect another, which takes some seconds.
    others_lead().await?;
    console
        .does("nats --context natterjack-system server cluster peer-remove nats-3 --force")
        .await?;
    are_on(stage, &["nats-1", "nats-2"]).await?;
    let other = |service: &mut super::compose::Service| {
        service.environment.insert("NATS_NAME".into(), "nats-4".into());
    };
    stage.cluster.recreate("nats-3", other)?;
    stage.cluster.of("nats-3")?.start()?;
    stage.cluster.healthy("nats-3").await?;
    are_on(stage, &["nats-1", "nats-2", "nats-4"]).await
}
