//! What a benchmark runs against: a cluster of its own, every role a process, or one that runs
//! already.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context;
use async_nats::jetstream::{self, consumer::PullConsumer};
use natterjack_nats::{Shards, cluster, topology};
use natterjack_runtime::servers::{DataDir, Progress, testing_tools_dir};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::usage::{Snapshot, Usage};
use crate::{
    fleet::{RoleProcess, Scratch},
    local::{LocalConfig, LocalServers},
    provision::TopologyArgs,
};

/// How long the persister may take to catch up between two measurements.
const CATCH_UP: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);
/// Enough for any run: the benchmark is not about a full stream.
const CHAT_BYTES_MAX: i64 = 4 << 30;
/// How the load generator is called among the roles.
const LOAD: &str = "load";

/// Which cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct ClusterArgs {
    /// Where the servers keep their data; removed afterwards if absent
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Where installed servers are kept
    #[arg(long, env = "NATTERJACK_TOOLS_DIR", value_name = "DIRECTORY")]
    tools_dir: Option<PathBuf>,
    /// A NATS that runs already; what is sent stays in it, so take one that can be thrown away
    #[arg(long, requires = "edge_url", value_name = "URL")]
    nats_url: Option<String>,
    /// The edges of that cluster, without rate limits
    #[arg(long, requires = "nats_url", value_name = "URL")]
    edge_url: Vec<String>,
    #[command(flatten)]
    topology: TopologyArgs,
}

/// A cluster that is ready.
#[derive(Debug)]
pub struct Cluster {
    /// Where NATS answers.
    pub nats_url: String,
    /// Where the edges answer.
    pub edge_urls: Vec<String>,
    /// Its shards.
    pub shards: Shards,
    /// What it consists of, for the result.
    pub facts: Facts,
    context: jetstream::Context,
    own: Option<Own>,
}

/// A cluster that this process started.
#[derive(Debug)]
struct Own {
    // In the order in which they go: who works, then the servers, then what they stand in.
    edges: Vec<RoleProcess>,
    persister: RoleProcess,
    more: Vec<(&'static str, RoleProcess)>,
    servers: LocalServers,
    data: DataDir,
    scratch: Option<Scratch>,
    dir: PathBuf,
}

/// What the cluster consists of.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// The version of the nats-server.
    pub nats_server: String,
    /// Streams that share the conversations.
    pub shards: u16,
    /// Edges.
    pub edges: usize,
    /// Whether it was started for this run, on this machine.
    pub own: bool,
}

impl Cluster {
    /// Starts one, or joins the one that is named.
    ///
    /// # Errors
    /// Whatever kept a part from starting.
    pub async fn start(args: &ClusterArgs, edges: usize, progress: &dyn Progress) -> anyhow::Result<Self> {
        let (own, nats_url, edge_urls) = if let Some(nats_url) = &args.nats_url {
            (None, nats_url.clone(), args.edge_url.clone())
        } else {
            let own = Own::start(args, edges, progress).await?;
            let (nats_url, urls) = (
                own.servers.nats_url.clone(),
                own.edges.iter().map(|edge| edge.url().to_owned()),
            );
            let urls = urls.collect();
            (Some(own), nats_url, urls)
        };
        let client = cluster::connect(&nats_url, "natterjack bench", |_| {}).await?;
        let nats_server = client.server_info().version;
        let context = jetstream::new(client);
        let shards = cluster::shards(&context).await?;
        let facts = Facts {
            nats_server,
            shards: shards.count(),
            edges: edge_urls.len(),
            own: own.is_some(),
        };
        Ok(Self {
            nats_url,
            edge_urls,
            shards,
            facts,
            context,
            own,
        })
    }

    /// Starts another process that counts as a role of its own, until [`Cluster::stop_more`].
    ///
    /// # Errors
    /// The cluster is not our own, or the process did not get ready.
    pub async fn start_more(
        &mut self,
        name: &'static str,
        words: &[&str],
        index: usize,
    ) -> anyhow::Result<String> {
        let own = self
            .own
            .as_mut()
            .context("this baseline needs a cluster of its own: leave --nats-url out")?;
        let dir = own.dir.join(format!("{name}-{index}"));
        let arguments: Vec<&str> = words
            .iter()
            .copied()
            .chain(["--nats-url", self.nats_url.as_str()])
            .collect();
        let role =
            RoleProcess::start(&std::env::current_exe()?, "bench", "--listen", &arguments, &dir).await?;
        let url = role.url().to_owned();
        own.more.push((name, role));
        Ok(url)
    }

    /// Ends what [`Cluster::start_more`] started.
    pub fn stop_more(&mut self) {
        if let Some(own) = &mut self.own {
            own.more.clear();
        }
    }

    /// Holds the persister still, so that NATS is measured alone; `false` if it is not ours.
    pub fn pause_persister(&self) -> bool {
        self.own
            .as_ref()
            .map(|own| own.persister.program().pause())
            .is_some()
    }

    /// Lets it go on.
    pub fn resume_persister(&self) {
        if let Some(own) = &self.own {
            own.persister.program().resume();
        }
    }

    /// What each role has used so far.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let snapshot = Snapshot::take();
        let mut all = BTreeMap::from([(LOAD.to_owned(), snapshot.of_one(std::process::id()))]);
        let Some(own) = &self.own else { return all };
        let mut add = |role: &str, pid: u32| {
            let (usage, sum) = (snapshot.of_tree(pid), all.entry(role.to_owned()).or_default());
            *sum = Usage {
                cpu_s: sum.cpu_s + usage.cpu_s,
                rss_mib: sum.rss_mib + usage.rss_mib,
            };
        };
        for edge in &own.edges {
            add("edge", edge.program().pid());
        }
        for (name, role) in &own.more {
            add(name, role.program().pid());
        }
        add("persister", own.persister.program().pid());
        if let Some(nats) = &own.servers.nats {
            add("nats-server", nats.pid());
        }
        if let Some(postgres) = &own.servers.postgres {
            add("postgres", postgres.pid());
        }
        all
    }

    /// How many stored messages the persister has not written yet.
    ///
    /// # Errors
    /// NATS does not answer.
    pub async fn unpersisted(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for shard in self.shards.all() {
            let stream = topology::chat_stream(shard);
            let consumer: PullConsumer = self
                .context
                .get_consumer_from_stream(topology::PERSISTER, &stream)
                .await
                .with_context(|| format!("the persister's consumer of {stream}"))?;
            let info = consumer.cached_info();
            sum += info.num_pending + info.num_ack_pending as u64;
        }
        Ok(sum)
    }

    /// Waits until the persister has written everything, so that one measurement does not pay for
    /// the one before.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + CATCH_UP;
        loop {
            let unpersisted = self.unpersisted().await?;
            if unpersisted == 0 {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the persister is {unpersisted} messages behind and stays so"
            );
            sleep(POLL).await;
        }
    }

    /// Stops what was started, and removes its data unless a directory was named.
    ///
    /// # Errors
    /// A role did not end in good order, or the directory could not be removed.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Some(Own {
            edges,
            persister,
            more,
            servers,
            data,
            scratch,
            ..
        }) = self.own
        else {
            return Ok(());
        };
        drop(more);
        for edge in &edges {
            edge.stop().await?;
        }
        persister.stop().await?;
        servers.stop().await;
        drop((servers, data));
        scratch.map_or(Ok(()), Scratch::remove)
    }
}

impl Own {
    async fn start(args: &ClusterArgs, edges: usize, progress: &dyn Progress) -> anyhow::Result<Self> {
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
            ..LocalConfig::default()
        };
        let servers = LocalServers::start(&data, &local, progress).await?;
        let mut settings = args.topology.settings();
        settings.chat_bytes_max = settings.chat_bytes_max.max(CHAT_BYTES_MAX);
        servers.provision(&settings).await?;
        progress.say("starting the roles …");
        let binary = std::env::current_exe()?;
        let nats = ["--nats-url", servers.nats_url.as_str()];
        // Signing up thousands of users is not what is measured.
        let passwords = ["--argon2-memory-kib", "8", "--argon2-passes", "1"];
        let words: Vec<_> = nats
            .into_iter()
            .chain(["--database-url", &servers.database_url])
            .chain(passwords)
            .collect();
        let persister = RoleProcess::start(
            &binary,
            "persister",
            "--admin-listen",
            &words,
            &dir.join("persister"),
        )
        .await?;
        let words: Vec<_> = nats.into_iter().chain(["--no-rate-limits"]).collect();
        let mut started = Vec::new();
        for index in 0..edges {
            let dir = dir.join(format!("edge-{index}"));
            started.push(RoleProcess::start(&binary, "edge", "--listen", &words, &dir).await?);
        }
        Ok(Self {
            edges: started,
            persister,
            more: vec![],
            servers,
            data,
            scratch,
            dir,
        })
    }
}
