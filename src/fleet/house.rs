//! Roles in this process.

use std::time::Duration;

use anyhow::Context;
use natterjack_nats::access::User;
use natterjack_runtime::lifecycle::Tasks;

use super::ground::Ground;
use crate::role;

/// How long a role may drain at the end.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// A persister, presence, any number of edges and, if wanted, notifiers in this process.
#[derive(Debug)]
pub struct House {
    persister: Option<Tasks>,
    presence: Option<Tasks>,
    notifiers: Vec<Tasks>,
    edges: Vec<Standing>,
    persister_args: natterjack_persister::Args,
    presence_args: natterjack_presence::Args,
    ground: Ground,
}

#[derive(Debug)]
struct Standing {
    /// With the port that it got, so that it comes back on the same one.
    args: natterjack_edge::Args,
    tasks: Option<Tasks>,
}

impl House {
    /// Options of a persister on this ground; passwords cost next to nothing.
    ///
    /// # Errors
    /// Variables of the environment that do not parse.
    pub fn persister_args(ground: &Ground) -> anyhow::Result<natterjack_persister::Args> {
        options(
            ground,
            User::Persister,
            &[
                ("--database-url", ground.database_url()),
                ("--argon2-memory-kib", "8"),
                ("--argon2-passes", "1"),
                ("--database-connections-max", "8"),
            ],
        )
    }

    /// Options of presence on this ground, with a short grace, since whoever finishes waits for it.
    ///
    /// # Errors
    /// Variables of the environment that do not parse.
    pub fn presence_args(ground: &Ground) -> anyhow::Result<natterjack_presence::Args> {
        options(ground, User::Presence, &[("--grace-ms", "250")])
    }

    /// Options of a notifier on this ground: with a short grace, and for push services that are on this
    /// machine.
    ///
    /// # Errors
    /// Variables of the environment that do not parse.
    pub fn notifier_args(ground: &Ground) -> anyhow::Result<natterjack_notifier::Args> {
        let mut args: natterjack_notifier::Args = options(ground, User::Notifier, &[("--grace-ms", "1000")])?;
        args.push_anywhere = true;
        Ok(args)
    }

    /// Options of an edge on this ground, on a free port and without rate limits.
    ///
    /// # Errors
    /// Variables of the environment that do not parse.
    pub fn edge_args(ground: &Ground) -> anyhow::Result<natterjack_edge::Args> {
        let mut args: natterjack_edge::Args = options(ground, User::Edge, &[("--listen", "127.0.0.1:0")])?;
        args.rates.no_rate_limits = true;
        args.push_anywhere = true;
        args.place.drain_spread_ms = 10;
        Ok(args)
    }

    /// Starts the roles; all are ready when this returns.
    ///
    /// # Errors
    /// Whatever kept one from starting.
    pub async fn start(
        ground: Ground,
        persister_args: natterjack_persister::Args,
        presence_args: natterjack_presence::Args,
        edges: Vec<natterjack_edge::Args>,
    ) -> anyhow::Result<Self> {
        let edges = edges
            .into_iter()
            .map(|args| Standing { args, tasks: None })
            .collect();
        let mut house = Self {
            persister: None,
            presence: None,
            notifiers: Vec::new(),
            edges,
            persister_args,
            presence_args,
            ground,
        };
        house.start_persister().await?;
        house.start_presence().await?;
        for index in 0..house.edges.len() {
            house.start_edge(index).await?;
        }
        Ok(house)
    }

    /// What it stands on.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Where an edge answers, `http://127.0.0.1:<port>`.
    ///
    /// # Panics
    /// There is no such edge.
    #[must_use]
    pub fn url(&self, edge: usize) -> String {
        format!("http://{}", self.edges[edge].args.listen)
    }

    /// Where the edges answer.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        (0..self.edges.len()).map(|edge| self.url(edge)).collect()
    }

    /// Starts an edge that was stopped, on its port.
    ///
    /// # Errors
    /// Whatever kept it from starting.
    pub async fn start_edge(&mut self, edge: usize) -> anyhow::Result<()> {
        let tasks = Tasks::new();
        let standing = &mut self.edges[edge];
        let started = Box::pin(natterjack_edge::run(&standing.args, &tasks))
            .await
            .context("an edge")?;
        (standing.args.listen, standing.tasks) = (started.addr, Some(tasks));
        Ok(())
    }

    /// Drains and stops an edge.
    ///
    /// # Errors
    /// One of its tasks had failed, or did not end.
    pub async fn stop_edge(&mut self, edge: usize) -> anyhow::Result<()> {
        stop(self.edges[edge].tasks.take()).await.context("an edge")
    }

    /// Starts the persister that was stopped.
    ///
    /// # Errors
    /// Whatever kept it from starting.
    pub async fn start_persister(&mut self) -> anyhow::Result<()> {
        let tasks = Tasks::new();
        Box::pin(natterjack_persister::run(&self.persister_args, &tasks))
            .await
            .context("the persister")?;
        self.persister = Some(tasks);
        Ok(())
    }

    /// Drains and stops the persister.
    ///
    /// # Errors
    /// One of its tasks had failed, or did not end.
    pub async fn stop_persister(&mut self) -> anyhow::Result<()> {
        stop(self.persister.take()).await.context("the persister")
    }

    /// Starts presence that was stopped.
    ///
    /// # Errors
    /// Whatever kept it from starting.
    pub async fn start_presence(&mut self) -> anyhow::Result<()> {
        let tasks = Tasks::new();
        Box::pin(natterjack_presence::run(&self.presence_args, &tasks))
            .await
            .context("presence")?;
        self.presence = Some(tasks);
        Ok(())
    }

    /// Drains and stops presence.
    ///
    /// # Errors
    /// One of its tasks had failed, or did not end.
    pub async fn stop_presence(&mut self) -> anyhow::Result<()> {
        stop(self.presence.take()).await.context("presence")
    }

    /// Starts a notifier, one more if there is one.
    ///
    /// # Errors
    /// Whatever kept it from starting.
    pub async fn start_notifier(&mut self, args: &natterjack_notifier::Args) -> anyhow::Result<()> {
        let tasks = Tasks::new();
        Box::pin(natterjack_notifier::run(args, &tasks))
            .await
            .context("a notifier")?;
        self.notifiers.push(tasks);
        Ok(())
    }

    /// Drains and stops all notifiers.
    ///
    /// # Errors
    /// One of their tasks had failed, or did not end.
    pub async fn stop_notifiers(&mut self) -> anyhow::Result<()> {
        for tasks in self.notifiers.drain(..) {
            tasks.stop(DRAIN_GRACE).await.context("a notifier")?;
        }
        Ok(())
    }

    /// Ends everything, and fails if something was left behind: see the module.
    ///
    /// # Errors
    /// What was left behind; the directory is then kept.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        for edge in 0..self.edges.len() {
            self.stop_edge(edge).await?;
        }
        self.stop_notifiers().await?;
        if self.persister.is_none() {
            self.start_persister().await?;
        }
        if self.presence.is_none() {
            self.start_presence().await?;
        }
        self.ground.persisted().await?;
        self.stop_persister().await?;
        self.stop_presence().await?;
        self.ground.nothing_left().await?;
        self.ground.finish().await
    }
}

/// Options of a role on this ground, logged in as its own user.
fn options<T: clap::Args>(ground: &Ground, user: User, own: &[(&str, &str)]) -> anyhow::Result<T> {
    let nats = ground.nats_options(user);
    let nats = nats
        .chunks_exact(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()));
    role::args(&nats.chain(own.iter().copied()).collect::<Vec<_>>())
}

async fn stop(tasks: Option<Tasks>) -> anyhow::Result<()> {
    match tasks {
        Some(tasks) => tasks.stop(DRAIN_GRACE).await,
        None => Ok(()),
    }
}
