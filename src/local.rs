//! A real nats-server and a real Postgres below a data directory, provisioned: what the plain run,
//! the benchmarks and the tests stand on.

use std::path::{Path, PathBuf};

use anyhow::Context;
use natterjack_nats::{
    access::User,
    cluster::{self, Login, NatsArgs},
    provision::{self, Report},
    topology::Settings,
};
use natterjack_runtime::{
    Tasks,
    servers::{
        DataDir, NatsConfig, NatsServer, PortRequest, Ports, Postgres, PostgresConfig, Progress, Tools,
    },
};

use crate::role;

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct LocalConfig {
    /// Where installed servers are kept; in the data directory if absent.
    pub tools_dir: Option<PathBuf>,
    /// A NATS that runs already, instead of one of our own.
    pub nats_url: Option<String>,
    /// A Postgres that runs already, instead of one of our own.
    pub database_url: Option<String>,
    /// The port of our own NATS; a free one, kept over restarts, if absent.
    pub nats_port: Option<u16>,
    /// The port of our own Postgres; likewise.
    pub postgres_port: Option<u16>,
    /// How much all streams of our own NATS together may promise; three quarters of the free disk if
    /// absent.
    pub nats_store_bytes_max: Option<u64>,
    /// Further lines for the configuration of our own NATS, such as accounts and users.
    pub nats_extra: String,
}

/// Servers that run.
#[derive(Debug)]
pub struct LocalServers {
    /// Our own nats-server, unless a URL was configured.
    pub nats: Option<NatsServer>,
    /// Our own Postgres, unless a URL was configured.
    pub postgres: Option<Postgres>,
    /// Where NATS answers.
    pub nats_url: String,
    /// Where Postgres answers; it holds a password.
    pub database_url: String,
}

impl LocalServers {
    /// Starts what is not configured, side by side, and tells `progress` of what takes long.
    ///
    /// # Errors
    /// A missing tool, a taken port, a server that ended: each says what to do.
    pub async fn start(dir: &DataDir, config: &LocalConfig, progress: &dyn Progress) -> anyhow::Result<Self> {
        let own = config.nats_url.is_none() || config.database_url.is_none();
        let tools = if own {
            Some(tools(dir, config.tools_dir.as_deref(), progress).await?)
        } else {
            None
        };
        let mut ports = Ports::open(dir.path());
        let nats = async {
            let (Some(tools), None) = (&tools, &config.nats_url) else {
                return Ok(None);
            };
            let request = PortRequest {
                configured: config.nats_port,
                ..PortRequest::any("NATS", "--nats-port")
            };
            let port = Some(ports.choose(&request, progress)?);
            let started = NatsServer::start(
                tools,
                NatsConfig {
                    port,
                    store_bytes_max: config.nats_store_bytes_max,
                    extra: config.nats_extra.clone(),
                    ..NatsConfig::new(dir.nats())
                },
            )
            .await;
            started.map(Some).context("nats-server did not start")
        }
        .await?;
        let postgres = async {
            let (Some(tools), None) = (&tools, &config.database_url) else {
                return Ok(None);
            };
            let request = PortRequest {
                configured: config.postgres_port,
                ..PortRequest::any("Postgres", "--postgres-port")
            };
            let port = Some(ports.choose(&request, progress)?);
            let started = Postgres::start(
                tools,
                PostgresConfig {
                    port,
                    ..PostgresConfig::new(dir.postgres())
                },
            )
            .await;
            started.map(Some).context("Postgres did not start")
        }
        .await?;
        let url =
            |configured: &Option<String>, own: Option<String>| configured.clone().or(own).unwrap_or_default();
        Ok(Self {
            nats_url: url(&config.nats_url, nats.as_ref().map(NatsServer::url)),
            database_url: url(&config.database_url, postgres.as_ref().map(Postgres::url)),
            nats,
            postgres,
        })
    }

    /// Makes the exit of one of our own servers a failure of `tasks`, and their stop its stop.
    pub fn supervise(&self, tasks: &Tasks) {
        if let Some(nats) = &self.nats {
            nats.supervise(tasks);
        }
        if let Some(postgres) = &self.postgres {
            postgres.supervise(tasks);
        }
    }

    /// Provisions NATS.
    ///
    /// # Errors
    /// See [`provision::provision`].
    pub async fn provision(&self, settings: &Settings) -> anyhow::Result<Report> {
        // Where NATS is not our own, the environment says how to log in.
        let nats: NatsArgs = role::args(&[("--nats-url", self.nats_url.as_str())])?;
        self.provision_as(settings, nats.login(User::Provision)).await
    }

    /// The same with a login of its own.
    ///
    /// # Errors
    /// See [`provision::provision`].
    pub async fn provision_as(&self, settings: &Settings, login: Login) -> anyhow::Result<Report> {
        let client = cluster::connect(login, "natterjack provision", |_| {}).await?;
        let context = async_nats::jetstream::new(client);
        Ok(provision::provision(&context, settings, false).await?)
    }

    /// Stops our own servers, where nothing supervises them.
    pub async fn stop(&self) {
        if let Some(nats) = &self.nats {
            nats.stop().await;
        }
        if let Some(postgres) = &self.postgres {
            postgres.stop().await;
        }
    }
}

async fn tools(dir: &DataDir, tools_dir: Option<&Path>, progress: &dyn Progress) -> anyhow::Result<Tools> {
    let tools_dir = tools_dir.map_or_else(|| dir.tools(), Path::to_path_buf);
    Ok(Tools::locate_or_install(&tools_dir, progress).await?)
}
