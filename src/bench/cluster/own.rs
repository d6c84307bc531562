//! A cluster that a benchmark starts for itself: real servers, and every role a process.

use std::path::PathBuf;

use natterjack_persister::db::{Db, DbError, Tx};
use natterjack_runtime::{
    metrics::Metrics,
    servers::{DataDir, Progress, testing_tools_dir},
};

use super::{ClusterArgs, Roles};
use crate::{
    fleet::{RoleProcess, Scratch},
    local::{LocalConfig, LocalServers},
};

/// Enough for any run: the benchmarks are not about a full stream.
const CHAT_BYTES_MAX: i64 = 4 << 30;
/// What streams may promise is not what they use, and a disk may have less free than that.
const STORE_BYTES_MAX: u64 = 64 << 30;

/// A cluster that this process started.
#[derive(Debug)]
pub struct Own {
    // In the order in which they go: who works, then the servers, then what they stand in.
    pub edges: Vec<RoleProcess>,
    pub presences: Vec<RoleProcess>,
    pub notifiers: Vec<RoleProcess>,
    pub persister: RoleProcess,
    pub servers: LocalServers,
    data: DataDir,
    scratch: Option<Scratch>,
    /// Where all of it is.
    pub dir: PathBuf,
}

impl Own {
    /// Starts it.
    pub async fn start(args: &ClusterArgs, roles: Roles, progress: &dyn Progress) -> anyhow::Result<Self> {
        let mut settings = args.settings()?;
        settings.chat_bytes_max = settings.chat_bytes_max.max(CHAT_BYTES_MAX);
        let (scratch, dir) = match &args.data_dir {
            Some(dir) => (None, dir.clone()),
            None => {
                let scratch = Scratch::new()?;
                let dir = scratch.path().to_owned();
                (Some(scratch), dir)
            }
        };
        let data = DataDir::open(dir.join("servers"))?;
        let tools_dir = args.tools_dir.clone().or_else(|| Some(testing_tools_dir()));
        progress.say("starting NATS and Postgres …");
        let local = LocalConfig {
            tools_dir,
            nats_store_bytes_max: Some(STORE_BYTES_MAX),
            ..LocalConfig::default()
        };
        let servers = LocalServers::start(&data, &local, progress).await?;
        servers.provision(&settings).await?;
        progress.say("starting the roles …");
        let binary = std::env::current_exe()?;
        let nats = ["--nats-url", servers.nats_url.as_str()];
        // Signing up thousands of users is not what is measured.
        let passwords = ["--argon2-memory-kib", "8", "--argon2-passes", "1"];
        // As large as they can be: how costs grow with them is what is measured.
        let groups = ["--group-members-max", "1500"];
        let words: Vec<_> = nats
            .into_iter()
            .chain(["--database-url", &servers.database_url])
            .chain(passwords)
            .chain(groups)
            .collect();
        let persister = RoleProcess::start(
            &binary,
            "persister",
            "--admin-listen",
            &words,
            &dir.join("persister"),
        )
        .await?;
        let grace_ms = roles.grace_ms.to_string();
        let words: Vec<_> = nats.into_iter().chain(["--grace-ms", &grace_ms]).collect();
        let mut presences = Vec::new();
        for index in 0..roles.presences {
            let dir = dir.join(format!("presence-{index}"));
            presences.push(RoleProcess::start(&binary, "presence", "--admin-listen", &words, &dir).await?);
        }
        let grace_ms = roles.push_grace_ms.to_string();
        let pushing = ["--push-anywhere", "--grace-ms", &grace_ms];
        let words: Vec<_> = nats.into_iter().chain(pushing).collect();
        let mut notifiers = Vec::new();
        for index in 0..roles.notifiers {
            let dir = dir.join(format!("notifier-{index}"));
            notifiers.push(RoleProcess::start(&binary, "notifier", "--admin-listen", &words, &dir).await?);
        }
        let words: Vec<_> = nats.into_iter().chain(["--no-rate-limits"]).collect();
        let mut edges = Vec::new();
        for index in 0..roles.edges {
            let dir = dir.join(format!("edge-{index}"));
            edges.push(RoleProcess::start(&binary, "edge", "--listen", &words, &dir).await?);
        }
        Ok(Self {
            edges,
            presences,
            notifiers,
            persister,
            servers,
            data,
            scratch,
            dir,
        })
    }

    /// The version of Postgres, as it tells it itself.
    pub async fn postgres_version(&self) -> anyhow::Result<String> {
        let db = Db::open(&self.servers.database_url, 1, &Metrics::new("bench")).await?;
        let read = |tx: Tx| async move {
            let row = tx.query_one("show server_version", &[]).await?;
            Ok::<_, DbError>(row.get::<_, String>(0))
        };
        Ok(db.read("version", read).await?)
    }

    /// Stops it, and removes its data unless a directory was named.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self {
            edges,
            presences,
            notifiers,
            persister,
            servers,
            data,
            scratch,
            ..
        } = self;
        for edge in &edges {
            edge.stop().await?;
        }
        for role in presences.iter().chain(&notifiers) {
            role.stop().await?;
        }
        persister.stop().await?;
        servers.stop().await;
        drop((servers, data));
        scratch.map_or(Ok(()), Scratch::remove)
    }
}
