//! The servers that a test stands on: nats-server and Postgres in a directory of their own.

use std::path::{Path, PathBuf};

use anyhow::Context;
use async_nats::Client;
use natterjack_nats::{
    access::{User, UserKeys, accounts},
    cluster::{self, Login, NatsArgs},
    topology::Settings,
};
use natterjack_runtime::servers::{DataDir, NatsServer, Postgres, SilentProgress, testing_tools_dir};

use super::{audit, refusals, scratch::Scratch};
use crate::{
    local::{LocalConfig, LocalServers},
    provision::keys,
};

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct GroundConfig {
    /// The topology.
    pub settings: Settings,
    /// An empty database of a Postgres that runs already, instead of a Postgres of its own: tests
    /// that do not disturb Postgres share one.
    pub database_url: Option<String>,
    /// NATS asks nobody who they are, as in the plain run.
    pub open: bool,
    /// Chat streams take messages as soon as they are made. Otherwise a persister opens them, as everywhere: for
    /// who starts none, or one of a version that knows nothing of that.
    pub opened: bool,
}

/// Servers, provisioned.
#[derive(Debug)]
pub struct Ground {
    // In the order in which they go: the servers, then what they stand in.
    servers: LocalServers,
    data: DataDir,
    scratch: Scratch,
    settings: Settings,
    /// The keys of the users, and where they are; none if NATS is open.
    keys: Option<(UserKeys, PathBuf)>,
}

impl Ground {
    /// Starts and provisions them.
    ///
    /// # Errors
    /// A server that does not start: the message ends with its last log lines.
    pub async fn start(config: GroundConfig) -> anyhow::Result<Self> {
        let GroundConfig {
            mut settings,
            database_url,
            open,
            opened,
        } = config;
        settings.made_closed = !opened;
        let scratch = Scratch::new()?;
        let data = DataDir::open(scratch.path().join("servers"))?;
        let tools_dir = Some(testing_tools_dir());
        let keys = if open {
            None
        } else {
            let dir = scratch.path().join("nkeys");
            Some((keys::ensure(&dir)?.0, dir))
        };
        let nats_extra = keys
            .as_ref()
            .map(|(keys, _)| accounts(keys, settings.shards))
            .unwrap_or_default();
        let local = LocalConfig {
            tools_dir,
            database_url,
            nats_extra,
            ..LocalConfig::default()
        };
        let servers = Box::pin(LocalServers::start(&data, &local, &SilentProgress)).await?;
        let ground = Self {
            servers,
            data,
            scratch,
            settings,
            keys,
        };
        let login = ground.login(User::Provision);
        Box::pin(ground.servers.provision_as(&ground.settings, login)).await?;
        Ok(ground)
    }

    /// Where NATS is and how this user logs in there.
    #[must_use]
    pub fn nats_args(&self, user: User) -> NatsArgs {
        let mut args = NatsArgs::new(self.nats_url());
        args.nkey = self.keys.as_ref().map(|(_, dir)| keys::path(dir, user));
        args
    }

    /// The login of this user.
    #[must_use]
    pub fn login(&self, user: User) -> Login {
        self.nats_args(user).login(user)
    }

    /// The login of whoever looks at everything: tests and audits.
    #[must_use]
    pub fn admin(&self) -> Login {
        self.login(User::Admin)
    }

    /// A connection of whoever looks at everything.
    ///
    /// # Errors
    /// NATS does not let it in.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Ok(cluster::connect(self.admin(), "natterjack test", |_| {}).await?)
    }

    /// The options of a role's command line that say the same.
    #[must_use]
    pub fn nats_options(&self, user: User) -> Vec<String> {
        let NatsArgs { url, nkey, .. } = self.nats_args(user);
        let nkey = nkey.map(|path| ["--nats-nkey".into(), path.display().to_string()]);
        ["--nats-url".into(), url]
            .into_iter()
            .chain(nkey.into_iter().flatten())
            .collect()
    }

    /// What NATS refused to users so far, in the server's words: each is a permission that a user lacks, or
    /// something that no user should do.
    ///
    /// # Errors
    /// The server's log cannot be read.
    pub fn refusals(&self) -> anyhow::Result<Vec<String>> {
        let log = self.nats().log();
        let text = std::fs::read(&log).with_context(|| format!("{}", log.display()))?;
        let named = |line: &str| {
            let keys = self.keys.iter().flat_map(|(keys, _)| keys);
            keys.fold(line.to_owned(), |line, (user, key)| {
                line.replace(key, user.name())
            })
        };
        Ok(refusals::of_log(&String::from_utf8_lossy(&text))
            .map(named)
            .collect())
    }

    /// Where NATS answers.
    #[must_use]
    pub fn nats_url(&self) -> &str {
        &self.servers.nats_url
    }

    /// Where Postgres answers, with its password.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.servers.database_url
    }

    /// The topology.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The directory of everything.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The nats-server.
    ///
    /// # Panics
    /// Never: a ground has always its own.
    #[must_use]
    pub fn nats(&self) -> &NatsServer {
        self.servers.nats.as_ref().expect("no other NATS was configured")
    }

    /// The Postgres, unless it is shared.
    #[must_use]
    pub const fn postgres(&self) -> Option<&Postgres> {
        self.servers.postgres.as_ref()
    }

    /// Waits until everything stored is in Postgres.
    ///
    /// # Errors
    /// It takes too long; the message names what is missing.
    pub async fn persisted(&self) -> anyhow::Result<()> {
        audit::persisted(self.admin(), &self.settings).await
    }

    /// Fails if anything in the database waits for a person or for a publisher.
    ///
    /// # Errors
    /// What was found.
    pub async fn nothing_left(&self) -> anyhow::Result<()> {
        audit::nothing_left(self.database_url()).await
    }

    /// Stops the servers and removes the directory, and fails if NATS refused anything to a role.
    ///
    /// # Errors
    /// What was refused; the directory could not be removed.
    pub async fn finish(self) -> anyhow::Result<()> {
        let refused = self.refusals()?;
        anyhow::ensure!(
            refused.is_empty(),
            "NATS refused what a role wanted; natterjack_nats::access says who may do what:\n{}",
            refused.join("\n")
        );
        let Self {
            servers,
            data,
            scratch,
            ..
        } = self;
        servers.stop().await;
        drop((servers, data));
        scratch.remove()
    }
}
