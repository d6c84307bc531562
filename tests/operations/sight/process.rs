//! The service `process`: every process says what it is, and logs something else for a while.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use async_nats::Client;
use futures::StreamExt as _;
use natterjack_nats::{
    cluster,
    services::{
        ServiceReply,
        process::{Info, Log, LogState, Logging, ProcessInfo},
    },
    subjects::svc,
    wire::{Code, WireError},
};
use natterjack_runtime::clock::Clock;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{PATIENCE, scene::Scene, until};

/// All answers to a question that every process gets.
async fn all<T: DeserializeOwned>(
    client: &Client,
    subject: &str,
    request: &impl Serialize,
    count: usize,
) -> anyhow::Result<Vec<T>> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    let payload = serde_json::to_vec(request)?;
    client
        .publish_with_reply(subject.to_owned(), inbox, payload.into())
        .await?;
    let mut found = Vec::new();
    while found.len() < count {
        let answer = timeout(PATIENCE, answers.next())
            .await?
            .context("the end of all answers")?;
        found.push(serde_json::from_slice(&answer.payload)?);
    }
    Ok(found)
}

/// What one process answers.
async fn one<T: DeserializeOwned>(
    client: &Client,
    subject: String,
    request: &impl Serialize,
) -> anyhow::Result<Result<T, WireError>> {
    let payload = serde_json::to_vec(request)?;
    let answer = client.request(subject, payload.into()).await?;
    let failed = answer.headers.as_ref().is_some_and(|headers| {
        headers
            .get(async_nats::service::NATS_SERVICE_ERROR_CODE)
            .is_some()
    });
    let ServiceReply(payload) = ServiceReply(answer.payload);
    Ok(if failed {
        Err(serde_json::from_slice(&payload)?)
    } else {
        Ok(serde_json::from_slice(&payload)?)
    })
}

pub async fn look(scene: &Scene) -> anyhow::Result<()> {
    let client = cluster::connect(scene.fleet.ground().admin(), "sight", |_| {}).await?;
    let infos: Vec<ProcessInfo> = all(&client, &svc::subject::<Info>(), &Info {}, 4).await?;
    let roles: BTreeMap<&str, &ProcessInfo> = infos.iter().map(|info| (info.role.as_str(), info)).collect();
    ensure!(
        roles
            .keys()
            .copied()
            .eq(["edge", "notifier", "persister", "presence"]),
        "{infos:?}"
    );
    let now_ms = Clock::system().now_ms();
    for info in &infos {
        ensure!(info.version == env!("CARGO_PKG_VERSION"), "{info:?}");
        ensure!(
            info.up_since <= info.now && info.now.abs_diff(now_ms) < 60_000,
            "{info:?}"
        );
        ensure!(
            info.log.as_ref().is_some_and(|log| log.filter == "trace"),
            "{info:?}"
        );
    }
    let presence = roles["presence"].id;
    let log = svc::of_process::<Log>(presence);
    for (filter, for_s) in [
        ("debgu", None),
        ("natterjack_edge=loud", None),
        ("info", Some(0)),
        ("info", Some(100_000)),
    ] {
        let wrong = Log {
            filter: filter.to_owned(),
            for_s,
        };
        let refused = one::<Logging>(&client, log.clone(), &wrong).await?;
        let error = refused.err().with_context(|| format!("{wrong:?} was taken"))?;
        ensure!(
            error.code == Code::BadRequest && error.message.len() > 20,
            "{error:?}"
        );
    }
    // For a while, in one process alone.
    let coarse = Log {
        filter: "warn,natterjack_presence=info".to_owned(),
        for_s: Some(2),
    };
    let changed = one::<Logging>(&client, log.clone(), &coarse).await?;
    let changed = changed.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    ensure!(
        changed.id == presence
            && changed.log.filter == coarse.filter
            && changed.log.for_s.is_some_and(|left| left <= 2),
        "{changed:?}"
    );
    let others: Vec<ProcessInfo> = all(&client, &svc::subject::<Info>(), &Info {}, 4).await?;
    let elsewhere = others.iter().filter(|info| info.id != presence);
    ensure!(elsewhere.clone().count() == 3);
    for info in elsewhere {
        ensure!(
            info.log.as_ref().is_some_and(|log| log.filter == "trace"),
            "{info:?}"
        );
    }
    let state = |info: ProcessInfo| info.log.context("no log");
    let back = until("the log as configured", async || {
        let info = one::<ProcessInfo>(&client, svc::of_process::<Info>(presence), &Info {}).await?;
        let log = state(info.map_err(|error| anyhow::anyhow!("{error:?}"))?)?;
        Ok((log.filter == "trace").then_some(log))
    })
    .await?;
    ensure!(
        back == LogState {
            filter: "trace".to_owned(),
            configured: "trace".to_owned(),
            for_s: None
        },
        "{back:?}"
    );
    // By hand, in all of them.
    let longer = Log {
        filter: "debug".to_owned(),
        for_s: None,
    };
    let _: Vec<Logging> = all(&client, &svc::subject::<Log>(), &longer, 4).await?;
    let reset: Vec<Logging> = all(&client, &svc::subject::<Log>(), &Log::default(), 4).await?;
    ensure!(reset.iter().all(|logging| logging.log == back), "{reset:?}");
    let told = std::fs::read_to_string(scene.fleet.presences[0].program().log())?;
    let audited = told
        .lines()
        .filter(|line| line.contains("an operator changed what is logged"))
        .count();
    ensure!(audited == 3, "{audited} changes were told");
    ensure!(
        told.contains("the log is as configured again"),
        "the end was not told"
    );
    timeout(Duration::from_secs(10), client.drain()).await??;
    Ok(())
}
