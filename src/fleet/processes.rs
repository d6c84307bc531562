//! Roles as processes.

use std::path::PathBuf;

use natterjack_nats::access::User;

use super::{ground::Ground, role::RoleProcess};

/// What to start on a ground.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// The `natterjack` binary.
    pub binary: PathBuf,
    /// How many edges.
    pub edges: usize,
    /// How many persisters.
    pub persisters: usize,
    /// How many presence processes.
    pub presences: usize,
    /// How many notifiers.
    pub notifiers: usize,
    /// Further options of every edge.
    pub edge_options: Vec<String>,
    /// Further options of every persister.
    pub persister_options: Vec<String>,
    /// Further options of every presence process.
    pub presence_options: Vec<String>,
    /// Further options of every notifier.
    pub notifier_options: Vec<String>,
}

impl FleetConfig {
    /// Two edges without rate limits, one persister for which passwords cost next to nothing, one presence
    /// process, and no notifier.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let options = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self {
            binary: binary.into(),
            edges: 2,
            persisters: 1,
            presences: 1,
            notifiers: 0,
            edge_options: options(&["--no-rate-limits"]),
            persister_options: options(&["--argon2-memory-kib", "8", "--argon2-passes", "1"]),
            presence_options: Vec::new(),
            notifier_options: Vec::new(),
        }
    }
}

/// Edges, persisters, presence and notifiers, each a process; they die with this one.
#[derive(Debug)]
pub struct Fleet {
    /// The edges.
    pub edges: Vec<RoleProcess>,
    /// The persisters.
    pub persisters: Vec<RoleProcess>,
    /// The presence processes.
    pub presences: Vec<RoleProcess>,
    /// The notifiers.
    pub notifiers: Vec<RoleProcess>,
    ground: Ground,
}

impl Fleet {
    /// Starts the roles; all are ready when this returns.
    ///
    /// # Errors
    /// Whatever kept one from starting.
    pub async fn start(ground: Ground, config: &FleetConfig) -> anyhow::Result<Self> {
        let logins = [User::Persister, User::Presence, User::Notifier, User::Edge];
        let [persister, presence, notifier, edge] = logins.map(|user| ground.nats_options(user));
        let (mut edges, mut persisters, mut presences) = (Vec::new(), Vec::new(), Vec::new());
        let database = ["--database-url", ground.database_url()];
        for index in 0..config.persisters {
            let own = config.persister_options.iter().map(String::as_str);
            let arguments: Vec<_> = persister
                .iter()
                .map(String::as_str)
                .chain(database)
                .chain(own)
                .collect();
            let dir = ground.path().join(format!("persister-{index}"));
            let role =
                RoleProcess::start(&config.binary, "persister", "--admin-listen", &arguments, &dir).await?;
            persisters.push(role);
        }
        for index in 0..config.presences {
            let own = config.presence_options.iter().map(String::as_str);
            let arguments: Vec<_> = presence.iter().map(String::as_str).chain(own).collect();
            let dir = ground.path().join(format!("presence-{index}"));
            let role =
                RoleProcess::start(&config.binary, "presence", "--admin-listen", &arguments, &dir).await?;
            presences.push(role);
        }
        let mut notifiers = Vec::new();
        for index in 0..config.notifiers {
            let own = config.notifier_options.iter().map(String::as_str);
            let arguments: Vec<_> = notifier.iter().map(String::as_str).chain(own).collect();
            let dir = ground.path().join(format!("notifier-{index}"));
            let role =
                RoleProcess::start(&config.binary, "notifier", "--admin-listen", &arguments, &dir).await?;
            notifiers.push(role);
        }
        for index in 0..config.edges {
            let own = config.edge_options.iter().map(String::as_str);
            let arguments: Vec<_> = edge.iter().map(String::as_str).chain(own).collect();
            let dir = ground.path().join(format!("edge-{index}"));
            edges.push(RoleProcess::start(&config.binary, "edge", "--listen", &arguments, &dir).await?);
        }
        Ok(Self {
            edges,
            persisters,
            presences,
            notifiers,
            ground,
        })
    }

    /// What it stands on.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Where the edges answer.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.edges.iter().map(|edge| edge.url().to_owned()).collect()
    }

    /// Ends everything, and fails if something was left behind: see the module.
    ///
    /// # Errors
    /// What was left behind; the directory is then kept.
    pub async fn finish(self) -> anyhow::Result<()> {
        for edge in &self.edges {
            edge.stop().await?;
        }
        self.ground.persisted().await?;
        let others = || {
            self.persisters
                .iter()
                .chain(&self.presences)
                .chain(&self.notifiers)
        };
        for role in others() {
            role.stop().await?;
        }
        for role in self.edges.iter().chain(others()) {
            role.no_panic()?;
        }
        self.ground.nothing_left().await?;
        let Self {
            edges,
            persisters,
            presences,
            notifiers,
            ground,
        } = self;
        drop((edges, persisters, presences, notifiers));
        ground.finish().await
    }
}
