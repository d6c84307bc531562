//! The servers that a test stands on: nats-server and Postgres in a directory of their own.

use std::path::Path;

use natterjack_nats::topology::Settings;
use natterjack_runtime::servers::{DataDir, NatsServer, Postgres, SilentProgress, testing_tools_dir};

use super::{audit, scratch::Scratch};
use crate::local::{LocalConfig, LocalServers};

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct GroundConfig {
    /// The topology.
    pub settings: Settings,
    /// An empty database of a Postgres that runs already, instead of a Postgres of its own: tests
    /// that do not disturb Postgres share one.
    pub database_url: Option<String>,
}

/// Servers, provisioned.
#[derive(Debug)]
pub struct Ground {
    // In the order in which they go: the servers, then what they stand in.
    servers: LocalServers,
    data: DataDir,
    scratch: Scratch,
    settings: Settings,
}

impl Ground {
    /// Starts and provisions them.
    ///
    /// # Errors
    /// A server that does not start: the message ends with its last log lines.
    pub async fn start(config: GroundConfig) -> anyhow::Result<Self> {
        let GroundConfig {
            settings,
            database_url,
        } = config;
        let scratch = Scratch::new()?;
        let data = DataDir::open(scratch.path().join("servers"))?;
        let tools_dir = Some(testing_tools_dir());
        let local = LocalConfig {
            tools_dir,
            database_url,
            ..LocalConfig::default()
        };
        let servers = LocalServers::start(&data, &local, &SilentProgress).await?;
        servers.provision(&settings).await?;
        Ok(Self {
            servers,
            data,
            scratch,
            settings,
        })
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
        audit::persisted(self.nats_url(), &self.settings).await
    }

    /// Fails if anything in the database waits for a person or for a publisher.
    ///
    /// # Errors
    /// What was found.
    pub async fn nothing_left(&self) -> anyhow::Result<()> {
        audit::nothing_left(self.database_url()).await
    }

    /// Stops the servers and removes the directory.
    ///
    /// # Errors
    /// The directory could not be removed.
    pub async fn finish(self) -> anyhow::Result<()> {
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
