//! Every service is restarted, one after the other, while a crowd talks through the load balancer.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use natterjack::fleet::audit;
use natterjack_nats::{
    access::User,
    cluster::{self, NatsArgs},
    topology::Settings,
};
use natterjack_persister::db::Address;
use nix::sys::signal::Signal;
use reqwest::{StatusCode, redirect::Policy};
use tokio::time::sleep;

use super::{
    balancer,
    crowd::Crowd,
    renewal,
    sandbox::Sandbox,
    sight,
    stand::{Cluster, PUBLIC_NAME},
};

const CLIENTS: usize = 20;
/// Longest that anybody may be without a connection, on a busy machine: a client tries again after at most a second,
/// and an edge that drains sends its clients away before it goes.
const GAP_MAX: Duration = Duration::from_secs(8);
/// How long servers may take to read their configuration again.
const RELOADED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);
const SEED: u64 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_restarted_and_nothing_is_lost() -> anyhow::Result<()> {
    let Some(sandbox) = Sandbox::enter("rolling::everything_is_restarted_and_nothing_is_lost").await? else {
        return Ok(());
    };
    let begun = Instant::now();
    let mut cluster = Cluster::prepare(&sandbox).await?;
    cluster.up().await?;
    println!("all services are healthy after {:?}", begun.elapsed());
    if sandbox.prometheus {
        cluster.also(sight::SERVICE).await?;
    }
    each_sees_only_its_own(&mut cluster).await?;
    only_what_clients_need_is_public().await?;

    let mut crowd = Crowd::gather(&[format!("https://{PUBLIC_NAME}")], CLIENTS).await?;
    ensure!(crowd.users().len() == CLIENTS, "the crowd is there");
    crowd.talk(SEED);
    let config = sandbox.dir.join("project/config");
    balancer::sees_a_drain(&cluster.networks, nats(&config, &config.join("nkeys/admin.nk"))).await?;
    for turn in [
        &["edge-1"][..],
        &["persister-1", "presence-1", "notifier-1"],
        &["edge-2"],
        &["persister-2", "presence-2", "notifier-2"],
        &["nats-1"],
        &["nats-2"],
        &["nats-3"],
    ] {
        restart(&mut cluster, turn).await?;
    }
    let before = crowd.recorder.gaps();
    let (longest, count) = before
        .values()
        .fold((Duration::ZERO, 0), |(longest, all), (gap, count)| {
            (longest.max(*gap), all + count)
        });
    println!("{count} times a client was without a connection, for {longest:?} at most");
    ensure!(count as usize >= CLIENTS, "nobody noticed anything: {count}");
    ensure!(longest < GAP_MAX, "{longest:?} without a connection: {before:?}");

    // What is changed without a restart drops nobody: certificates, another key for a user, and the load balancer's file.
    renewal::of_all(&mut cluster, &config).await?;
    let key = config.join("nkeys/system.nk");
    let old = sandbox.dir.join("system.nk");
    std::fs::rename(&key, &old)?;
    cluster.write_config().await?;
    ensure!(
        logs_in(&config, &old).await && !logs_in(&config, &key).await,
        "nothing was reloaded yet"
    );
    for name in ["nats-1", "nats-2", "nats-3"] {
        cluster.of(name)?.signal(Signal::SIGHUP)?;
    }
    let begun = Instant::now();
    while logs_in(&config, &old).await || !logs_in(&config, &key).await {
        ensure!(
            begun.elapsed() < RELOADED_WITHIN,
            "the servers go on with the old key"
        );
        sleep(POLL).await;
    }
    cluster.of("lb")?.signal(Signal::SIGUSR2)?;
    cluster.healthy("lb").await?;
    crowd.check().await?;
    ensure!(
        crowd.recorder.gaps() == before,
        "somebody was dropped: {:?}",
        crowd.recorder.gaps()
    );
    crowd.leave().await?;
    nothing_is_left(&config).await?;
    if sandbox.prometheus {
        sight::of_all(&cluster.networks).await?;
    }
    println!("ended after {:?}", begun.elapsed());
    // The servers below had their turn, one by one.
    cluster.down_to(&["nats-1", "nats-2", "nats-3"]).await
}

/// Keys of others are not there, and neither are hosts that are none of a service's business.
async fn each_sees_only_its_own(cluster: &mut Cluster) -> anyhow::Result<()> {
    let edge = cluster.of("edge-1")?;
    let files = edge.ask(&["find", "/etc/natterjack", "-type", "f"]).await?;
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    ensure!(
        files
            == [
                "/etc/natterjack/nkeys/edge.nk",
                "/etc/natterjack/tls/ca.pem",
                "/etc/natterjack/tls/edge-key.pem",
                "/etc/natterjack/tls/edge.pem",
            ],
        "{files:?}"
    );
    edge.ask(&["getent", "hosts", "nats-1"]).await?;
    ensure!(
        edge.ask(&["getent", "hosts", "postgres"]).await.is_err(),
        "an edge never talks to Postgres"
    );
    ensure!(
        edge.ask(&["touch", "/usr/x"]).await.is_err(),
        "the root is read-only"
    );
    Ok(())
}

async fn only_what_clients_need_is_public() -> anyhow::Result<()> {
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    for (url, expected) in [
        (format!("https://{PUBLIC_NAME}/readyz"), StatusCode::OK),
        (format!("https://{PUBLIC_NAME}/metrics"), StatusCode::NOT_FOUND),
        (format!("http://{PUBLIC_NAME}/"), StatusCode::PERMANENT_REDIRECT),
    ] {
        let status = client.get(&url).send().await?.status();
        ensure!(status == expected, "{url}: {status}");
    }
    Ok(())
}

/// Restarts these services together, each as an engine does it.
async fn restart(cluster: &mut Cluster, names: &[&str]) -> anyhow::Result<()> {
    for name in names {
        let took = cluster.of(name)?.stop().await?;
        println!("{name} ended in {took:?}");
        cluster.of(name)?.start()?;
    }
    let begun = Instant::now();
    for name in names {
        cluster.healthy(name).await?;
    }
    println!("healthy again after {:?}: {names:?}", begun.elapsed());
    Ok(())
}

fn nats(config: &Path, nkey: &Path) -> NatsArgs {
    NatsArgs {
        url: "tls://nats-1:4222,tls://nats-2:4222,tls://nats-3:4222".into(),
        nkey: Some(nkey.to_owned()),
        creds: None,
        ca: Some(config.join("tls/ca.pem")),
    }
}

/// Whether every server lets this key in.
async fn logs_in(config: &Path, nkey: &Path) -> bool {
    for server in 1..=3 {
        let args = NatsArgs {
            url: format!("tls://nats-{server}:4222"),
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

/// All that was stored is in Postgres, and nothing waits for a person.
async fn nothing_is_left(config: &Path) -> anyhow::Result<()> {
    let admin = nats(config, &config.join("nkeys/admin.nk")).login(User::Admin);
    let settings = Settings {
        replicas: 3,
        ..Settings::default()
    };
    audit::persisted(admin, &settings).await?;
    audit::nothing_left(Address {
        url: "postgres://natterjack@postgres:5432/natterjack?sslmode=verify-full".into(),
        password_file: Some(config.join("postgres/password")),
        ca: Some(config.join("tls/ca.pem")),
    })
    .await
}
