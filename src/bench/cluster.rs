//! What a benchmark runs against: a cluster of its own, every role a process, or one that runs
//! already.

mod args;
mod own;

use std::{path::Path, time::Duration};

use anyhow::Context;
use async_nats::jetstream::{self, consumer::PullConsumer};
use futures::future::{join_all, try_join_all};
use natterjack_nats::{Shards, cluster, topology};
use natterjack_runtime::servers::Progress;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    cost::Taken,
    machine::file_system,
    usage::{RoleUsage, Snapshot},
};
use crate::fleet::{RoleProcess, Scratch};
pub use args::ClusterArgs;
use own::Own;

/// How long the persister may take to catch up between two measurements.
const CATCH_UP: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);
/// How the load generator is called among the roles.
pub const LOAD: &str = "load";

/// How many of the roles that there may be several of, in a cluster of one's own.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    /// Edges.
    pub edges: usize,
    /// Presence processes.
    pub presences: usize,
    /// Their grace.
    pub grace_ms: u64,
    /// Notifiers, which push to this machine too.
    pub notifiers: usize,
    /// Their grace.
    pub push_grace_ms: u64,
}

impl Roles {
    /// So many edges, and presence as a plain run has it. Pushes are measured by themselves.
    #[must_use]
    pub const fn usual(edges: usize) -> Self {
        Self {
            edges,
            presences: 1,
            grace_ms: 3_000,
            notifiers: 0,
            push_grace_ms: 5_000,
        }
    }
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
    /// What was measured on it so far.
    pub taken: Taken,
    context: jetstream::Context,
    own: Option<Own>,
    more: Vec<(&'static str, RoleProcess)>,
    /// Where the logs of those are, if the cluster is not our own.
    more_dir: Option<Scratch>,
}

/// What the cluster consists of.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// The version of the nats-server.
    pub nats_server: String,
    /// The version of Postgres, if it is known.
    pub postgres: Option<String>,
    /// The file system on which both keep their data, if it is known.
    pub file_system: Option<String>,
    /// Whether JetStream syncs before it acks; known of a cluster that was started for this run.
    pub jetstream_sync: Option<&'static str>,
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
        Self::start_with(args, Roles::usual(edges), progress).await
    }

    /// The same with other numbers.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(
        args: &ClusterArgs,
        roles: Roles,
        progress: &dyn Progress,
    ) -> anyhow::Result<Self> {
        let (own, nats_url, edge_urls) = if let Some(nats_url) = &args.nats_url {
            (None, nats_url.clone(), args.edge_url.clone())
        } else {
            let own = Own::start(args, roles, progress).await?;
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
        let (postgres, fs) = match &own {
            Some(own) => (Some(own.postgres_version().await?), file_system(&own.dir)),
            None => (None, None),
        };
        let facts = Facts {
            nats_server,
            postgres,
            file_system: fs,
            jetstream_sync: own.is_some().then_some("always"),
            shards: shards.count(),
            edges: edge_urls.len(),
            own: own.is_some(),
        };
        Ok(Self {
            nats_url,
            edge_urls,
            shards,
            facts,
            taken: Taken::default(),
            context,
            own,
            more: vec![],
            more_dir: None,
        })
    }

    /// Its persister, if it is a process of our own.
    #[must_use]
    pub fn persister(&self) -> Option<&RoleProcess> {
        self.own.as_ref().map(|own| &own.persister)
    }

    /// JetStream, as the benchmark itself uses it.
    #[must_use]
    pub const fn jetstream(&self) -> &jetstream::Context {
        &self.context
    }

    /// Starts `natterjack bench <words>` as another process, which counts as a role of that name
    /// until [`Cluster::stop_more`]; where it answers.
    ///
    /// # Errors
    /// The process did not get ready.
    pub async fn start_more(
        &mut self,
        name: &'static str,
        words: &[&str],
        index: usize,
    ) -> anyhow::Result<String> {
        let nats_url = self.nats_url.clone();
        let words: Vec<&str> = words.iter().copied().chain(["--nats-url", &nats_url]).collect();
        self.start_process(name, &words, index).await
    }

    /// The same for a process that has nothing to do with NATS.
    ///
    /// # Errors
    /// The process did not get ready.
    pub async fn start_process(
        &mut self,
        name: &'static str,
        words: &[&str],
        index: usize,
    ) -> anyhow::Result<String> {
        let dir = match (&self.own, &self.more_dir) {
            (Some(own), _) => own.dir.clone(),
            (None, Some(dir)) => dir.path().to_owned(),
            (None, None) => self.more_dir.insert(Scratch::new()?).path().to_owned(),
        };
        let dir = dir.join(format!("{name}-{index}"));
        let role = RoleProcess::start(&std::env::current_exe()?, "bench", "--listen", words, &dir).await?;
        let url = role.url().to_owned();
        self.more.push((name, role));
        Ok(url)
    }

    /// Ends what [`Cluster::start_more`] started.
    pub fn stop_more(&mut self) {
        self.more.clear();
    }

    /// Where its Postgres answers, if it is our own.
    #[must_use]
    pub fn database_url(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.servers.database_url.as_str())
    }

    /// The directory of its files, if it is our own.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.dir.as_path())
    }

    /// Kills our own edges with SIGKILL.
    pub async fn kill_edges(&self) {
        let edges = self.own.iter().flat_map(|own| &own.edges);
        join_all(edges.map(|edge| edge.program().kill())).await;
    }

    /// Starts our own edges again, on their ports; they are ready when this returns.
    ///
    /// # Errors
    /// One does not get ready.
    pub async fn restart_edges(&self) -> anyhow::Result<()> {
        let edges = self.own.iter().flat_map(|own| &own.edges);
        try_join_all(edges.map(RoleProcess::restart)).await?;
        Ok(())
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

    /// What each process of each role has used so far; of a cluster that is not our own, only what
    /// this run started.
    #[must_use]
    pub fn usage(&self) -> Vec<RoleUsage> {
        let snapshot = Snapshot::take();
        let load = std::process::id();
        let mut all = vec![RoleUsage {
            role: LOAD.to_owned(),
            pid: load,
            usage: snapshot.of_one(load),
        }];
        all.extend(self.processes().into_iter().map(|(role, pid)| RoleUsage {
            role,
            pid,
            usage: snapshot.of_tree(pid),
        }));
        all
    }

    /// The processes of our own cluster and those that were started beside it, by role.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, u32)> {
        let mut all: Vec<(&str, u32)> = self
            .more
            .iter()
            .map(|(name, role)| (*name, role.program().pid()))
            .collect();
        if let Some(own) = &self.own {
            all.extend(own.edges.iter().map(|edge| ("edge", edge.program().pid())));
            let presences = own.presences.iter();
            all.extend(presences.map(|presence| ("presence", presence.program().pid())));
            let notifiers = own.notifiers.iter();
            all.extend(notifiers.map(|notifier| ("notifier", notifier.program().pid())));
            all.push(("persister", own.persister.program().pid()));
            let Own { servers, .. } = own;
            all.extend(servers.nats.iter().map(|nats| ("nats-server", nats.pid())));
            let postgres = servers.postgres.iter();
            all.extend(postgres.map(|postgres| ("postgres", postgres.pid())));
        }
        all.into_iter()
            .map(|(role, pid)| (role.to_owned(), pid))
            .collect()
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
        drop(self.more);
        if let Some(own) = self.own {
            own.stop().await?;
        }
        self.more_dir.map_or(Ok(()), Scratch::remove)
    }
}
