//! Ending processes and bringing them back, as a crash and a service manager do.

use std::{path::Path, time::Duration};

use anyhow::Context;
use natterjack_runtime::servers::NatsServer;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{Instant, sleep, timeout};

use super::Stage;
use crate::{fleet::RoleProcess, torture::fault::Part};

/// How long something may take to come back on a busy machine, others that it needs included.
const BACK_WITHIN: Duration = Duration::from_secs(90);
/// As a service manager does when what a role needs is away too.
const PAUSE: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(50);
/// How long a server may take to notice that its disk is full, and end.
const NOTICED: Duration = Duration::from_secs(2);

impl Stage {
    /// Ends a part with SIGKILL.
    ///
    /// # Errors
    /// It had ended by itself, which nothing may.
    pub async fn kill(&self, part: Part) -> anyhow::Result<()> {
        if let Some(role) = self.role(part) {
            if let Some(exit) = role.program().ended() {
                return Err(exit).context(format!("{part} had ended by itself"));
            }
            role.program().kill().await;
        }
        if let Part::Nats(index) = part {
            self.node(index)?.kill().await;
        }
        if part == Part::Postgres {
            self.postgres.kill().await;
        }
        Ok(())
    }

    /// Starts a part that was killed.
    ///
    /// # Errors
    /// It does not come back; the message ends with its last log lines.
    pub async fn revive(&self, part: Part) -> anyhow::Result<()> {
        let deadline = Instant::now() + BACK_WITHIN;
        loop {
            let back = match (self.role(part), part) {
                (Some(role), _) => again(role).await,
                (None, Part::Nats(index)) => self.node(index)?.restart().await.map_err(Into::into),
                _ => self.postgres.restart().await.map_err(Into::into),
            };
            match back {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context(format!("{part} does not come back"));
                }
                Err(error) => tracing::debug!(%part, %error, "not back yet"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Holds a part still with all its processes, or lets it go on.
    ///
    /// # Errors
    /// There is no such part.
    pub fn hold(&self, part: Part, held: bool) -> anyhow::Result<()> {
        let pid = match (self.role(part), part) {
            (Some(role), _) => role.program().pid(),
            (None, Part::Nats(index)) => self.node(index)?.pid(),
            _ => self.postgres.pid(),
        };
        let signal = if held { Signal::SIGSTOP } else { Signal::SIGCONT };
        // The first one first: it can start no more while it stands.
        for pid in [pid].into_iter().chain(children(pid)) {
            let _ = kill(Pid::from_raw(i32::try_from(pid)?), signal);
        }
        Ok(())
    }

    /// A store's disk has room again: a server that ended without it is started, and so is a
    /// nats-server that has switched JetStream off, as an operator does.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn has_room(&self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Nats(index) => {
                let node = self.node(index)?;
                if !healthy(node, NOTICED).await {
                    node.stop().await;
                    self.revive(part).await?;
                }
            }
            _ => {
                if timeout(NOTICED, self.postgres.exited()).await.is_ok() {
                    self.revive(part).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until every role says that it is ready.
    ///
    /// # Errors
    /// One has ended, or does not get ready.
    pub async fn all_ready(&self) -> anyhow::Result<()> {
        for node in self.nats.servers() {
            anyhow::ensure!(
                healthy(node, BACK_WITHIN).await,
                "{} is not healthy after {BACK_WITHIN:?}; its log is {}",
                node.url(),
                node.log().display()
            );
        }
        for role in self.roles() {
            role.ready().await?;
        }
        Ok(())
    }

    fn role(&self, part: Part) -> Option<&RoleProcess> {
        match part {
            Part::Edge(index) => self.edges.get(index),
            Part::Persister(index) => self.persisters.get(index),
            Part::Presence(index) => self.presences.get(index),
            Part::Nats(_) | Part::Postgres => None,
        }
    }

    fn node(&self, index: usize) -> anyhow::Result<&NatsServer> {
        self.nats
            .servers()
            .get(index)
            .context("there is no such nats-server")
    }
}

/// Starts a role that has ended, or waits on for one that did not get ready in time.
async fn again(role: &RoleProcess) -> anyhow::Result<()> {
    if role.program().ended().is_some() {
        role.restart().await
    } else {
        role.ready().await
    }
}

/// Whether the server and its JetStream say that they are well, within that time.
async fn healthy(node: &NatsServer, within: Duration) -> bool {
    let url = format!("{}/healthz", node.monitor_url());
    let deadline = Instant::now() + within;
    loop {
        let answer = timeout(within, reqwest::get(&url)).await;
        if answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success())) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(POLL).await;
    }
}

/// The processes that a process started.
fn children(parent: u32) -> Vec<u32> {
    let task = format!("/proc/{parent}/task/{parent}/children");
    let Ok(text) = std::fs::read_to_string(Path::new(&task)) else {
        return Vec::new();
    };
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
