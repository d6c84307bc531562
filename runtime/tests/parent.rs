//! What becomes of the servers when the process that started them is told to end, or dies.
//!
//! The test program starts itself again as that process: `PARENT` names the directory it
//! is to use, and the wanted test then plays the parent instead of testing.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use natterjack_runtime::lifecycle::Tasks;
use natterjack_runtime::servers::{DataDir, NatsConfig, NatsServer, Postgres, PostgresConfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

const PARENT: &str = "NATTERJACK_TEST_PARENT_DIR";

/// Starts both servers, writes their process ids, and runs until a signal.
async fn play_parent(dir: &Path) -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let data = DataDir::open(dir)?;
    let tasks = Tasks::new();
    let (roles, servers) = (tasks.child("roles"), tasks.child("servers"));
    let nats = NatsServer::start(&tools, NatsConfig::new(data.nats())).await?;
    nats.supervise(&servers);
    let postgres = Postgres::start(&tools, PostgresConfig::new(data.postgres())).await?;
    postgres.supervise(&servers);
    // It would take longer to drain than anybody waits.
    let shutdown = roles.shutdown().clone();
    let deaf = dir.join("slow").exists();
    roles.spawn("slow", async move {
        shutdown.draining().await;
        if deaf {
            shutdown.killed().await;
        }
        Ok(())
    });
    std::fs::write(dir.join("pids.new"), format!("{} {}", nats.pid(), postgres.pid()))?;
    let start = async {
        // Who reads it may signal at once.
        std::fs::rename(dir.join("pids.new"), dir.join("pids"))?;
        if dir.join("never").exists() {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    tasks
        .run_until_signal_then(start, &[roles], Duration::from_secs(600))
        .await
}

async fn parent(test: &str, dir: &Path) -> anyhow::Result<(Child, Vec<u32>)> {
    let pids = dir.join("pids");
    let _ = std::fs::remove_file(&pids);
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(PARENT, dir)
        .stdin(Stdio::null())
        // Its test harness reports to there, among our own reports; errors go to stderr.
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let ready = common::until("the parent has started its servers", || pids.exists());
    tokio::select! {
        ready = ready => ready?,
        status = child.wait() => anyhow::bail!("the parent ended: {}", status?),
    }
    let text = std::fs::read_to_string(pids)?;
    let pids = text.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    ensure!(pids.iter().copied().all(common::alive), "{pids:?}");
    Ok((child, pids))
}

fn send(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let pid = child.id().context("the parent is gone")?;
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
}

async fn all_gone(pids: &[u32]) -> anyhow::Result<()> {
    common::until("no server is left", || !pids.iter().copied().any(common::alive)).await
}

#[tokio::test]
async fn a_signal_stops_everything_in_good_order() -> anyhow::Result<()> {
    if let Some(dir) = std::env::var_os(PARENT) {
        return play_parent(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir()?;
    let name = "a_signal_stops_everything_in_good_order";
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        stops_in_good_order(name, dir.path(), signal).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_signal_stops_also_what_is_still_starting() -> anyhow::Result<()> {
    if let Some(dir) = std::env::var_os(PARENT) {
        return play_parent(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("never"), "")?;
    let name = "a_signal_stops_also_what_is_still_starting";
    stops_in_good_order(name, dir.path(), Signal::SIGTERM).await
}

async fn stops_in_good_order(name: &str, dir: &Path, signal: Signal) -> anyhow::Result<()> {
    let (mut child, pids) = parent(name, dir).await?;
    send(&child, signal)?;
    let status = tokio::time::timeout(common::PATIENCE, child.wait()).await??;
    ensure!(status.success(), "{status}");
    // Not "soon": they were waited for.
    ensure!(!pids.iter().copied().any(common::alive), "{pids:?}");
    ensure!(!dir.join("postgres/data/postmaster.pid").exists());
    Ok(())
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_drain() -> anyhow::Result<()> {
    if let Some(dir) = std::env::var_os(PARENT) {
        return play_parent(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("slow"), "")?;
    let (mut child, pids) = parent("a_second_signal_does_not_wait_for_the_drain", dir.path()).await?;
    let ended = async {
        // Signals of one kind that arrive together count as one, so they are repeated.
        loop {
            let _ = send(&child, Signal::SIGINT);
            if let Ok(status) = tokio::time::timeout(Duration::from_millis(50), child.wait()).await {
                return status;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, ended).await??;
    all_gone(&pids).await
}

#[tokio::test]
async fn a_dead_server_ends_the_parent_with_an_error() -> anyhow::Result<()> {
    if let Some(dir) = std::env::var_os(PARENT) {
        return play_parent(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir()?;
    let (mut child, pids) = parent("a_dead_server_ends_the_parent_with_an_error", dir.path()).await?;
    kill(Pid::from_raw(i32::try_from(pids[0])?), Signal::SIGKILL)?;
    let status = tokio::time::timeout(common::PATIENCE, child.wait()).await??;
    ensure!(!status.success());
    all_gone(&pids).await
}

#[tokio::test]
async fn a_killed_parent_leaves_nothing_that_hinders_the_next_start() -> anyhow::Result<()> {
    if let Some(dir) = std::env::var_os(PARENT) {
        return play_parent(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir()?;
    let name = "a_killed_parent_leaves_nothing_that_hinders_the_next_start";
    let (mut child, first) = parent(name, dir.path()).await?;
    child.kill().await?;
    // At once, while the old servers may still be ending.
    let (mut child, second) = parent(name, dir.path()).await?;
    ensure!(!first.iter().copied().any(common::alive), "{first:?}");
    child.kill().await?;
    if cfg!(target_os = "linux") {
        // Here the kernel sees to it, without a next start.
        all_gone(&second).await?;
    }
    Ok(())
}
