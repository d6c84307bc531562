//! Every service is restarted, one after the other, while a crowd talks through the load balancer.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use natterjack::fleet::audit;
use natterjack_nats::{access::User, topology::Settings};
use natterjack_persister::db::Address;
use nix::sys::signal::Signal;
use reqwest::{StatusCode, redirect::Policy};

use super::{
    balancer,
    console::Console,
    copies,
    crowd::Crowd,
    doctor, leaked, lost, renewal,
    sandbox::Sandbox,
    sight,
    stage::{NATS_URL, Stage, nats},
    stand::{Cluster, PUBLIC_NAME},
};

const CLIENTS: usize = 20;
/// Longest that anybody may be without a connection, on a busy machine: a client tries again after at most a second,
/// and an edge that drains sends its clients away before it goes.
const GAP_MAX: Duration = Duration::from_secs(8);
const SEED: u64 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_restarted_and_nothing_is_lost() -> anyhow::Result<()> {
    let Some(sandbox) = Sandbox::enter("rolling::everything_is_restarted_and_nothing_is_lost").await? else {
        return Ok(());
    };
    let begun = Instant::now();
    let mut cluster = Cluster::prepare(&sandbox).await?;
    let console = Console::new(&sandbox, NATS_URL)?;
    if console.is_some() {
        // It begins with one copy of everything, as if there had been one server first.
        cluster.recreate("provision", |service| {
            service
                .environment
                .insert("NATTERJACK_REPLICAS".into(), "1".into());
        })?;
    }
    cluster.up().await?;
    println!("all services are healthy after {:?}", begun.elapsed());
    if sandbox.prometheus {
        cluster.also(sight::SERVICE).await?;
    }
    each_sees_only_its_own(&mut cluster).await?;
    only_what_clients_need_is_public().await?;
    let mut stage = Stage {
        cluster,
        config: sandbox.project().join("config"),
        crowd: Crowd::gather(&[format!("https://{PUBLIC_NAME}")], CLIENTS).await?,
        console,
    };
    ensure!(stage.crowd.users().len() == CLIENTS, "the crowd is there");
    stage.crowd.talk(SEED);

    copies::from_one_to_three(&mut stage).await?;
    as_in_the_file(&mut stage).await?;
    doctor::finds_nothing(&mut stage).await?;
    let admin = nats(&stage.config, &stage.config.join("nkeys/admin.nk"));
    balancer::sees_a_drain(&stage.cluster.networks, admin).await?;
    lost::another_leads(&mut stage).await?;
    all_are_restarted(&mut stage).await?;
    what_is_reloaded_drops_nobody(&mut stage, &sandbox.dir).await?;
    lost::a_disk_is_lost(&mut stage).await?;
    lost::a_server_is_replaced(&mut stage).await?;
    leaked::a_key_is_replaced(&mut stage).await?;

    stage.crowd.check().await?;
    let (longest, count) = stage.gaps();
    println!("{count} times a client was without a connection, for {longest:?} at most");
    let Stage {
        cluster,
        config,
        crowd,
        console,
    } = stage;
    crowd.leave().await?;
    nothing_is_left(&config).await?;
    if sandbox.prometheus {
        sight::of_all(&cluster.networks).await?;
    }
    if let Some(console) = console {
        console.nothing_is_left()?;
    }
    println!("ended after {:?}", begun.elapsed());
    // The servers below had their turn, one by one.
    cluster.down_to(&["nats-1", "nats-2", "nats-3"]).await
}

/// The service of the file finds that nothing is to be done.
async fn as_in_the_file(stage: &mut Stage) -> anyhow::Result<()> {
    stage.cluster.recreate("provision", |_| ())?;
    let (well, said) = stage.cluster.of("provision")?.run().await?;
    ensure!(well && said.contains("nothing to do"), "{said}");
    Ok(())
}

async fn all_are_restarted(stage: &mut Stage) -> anyhow::Result<()> {
    for turn in [
        &["edge-1"][..],
        &["persister-1", "presence-1", "notifier-1"],
        &["edge-2"],
        &["persister-2", "presence-2", "notifier-2"],
        &["nats-1"],
        &["nats-2"],
        &["nats-3"],
    ] {
        stage.restart(turn).await?;
    }
    let (longest, count) = stage.gaps();
    println!("{count} times a client was without a connection, for {longest:?} at most");
    ensure!(count as usize >= CLIENTS, "nobody noticed anything: {count}");
    ensure!(
        longest < GAP_MAX,
        "{longest:?} without a connection: {:?}",
        stage.crowd.recorder.gaps()
    );
    Ok(())
}

/// Certificates, another key for a user, and the load balancer's file.
async fn what_is_reloaded_drops_nobody(stage: &mut Stage, dir: &Path) -> anyhow::Result<()> {
    let before = stage.gaps();
    renewal::of_all(&mut stage.cluster, &stage.config).await?;
    let key = stage.config.join("nkeys/system.nk");
    let old = dir.join("system.nk");
    std::fs::rename(&key, &old)?;
    stage.cluster.write_config().await?;
    for name in ["nats-1", "nats-2", "nats-3"] {
        stage.cluster.of(name)?.signal(Signal::SIGHUP)?;
    }
    leaked::taken(&stage.config, &old, &key).await?;
    stage.cluster.of("lb")?.signal(Signal::SIGUSR2)?;
    stage.cluster.healthy("lb").await?;
    stage.nobody_was_dropped(before)
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
