//! Which cluster a benchmark runs against.

use std::path::PathBuf;

use natterjack_nats::{Shards, topology};
use serde::Serialize;

use crate::provision::parse_shards;

/// Which cluster.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct ClusterArgs {
    /// Where the servers keep their data; removed afterwards if absent
    #[arg(long, value_name = "DIRECTORY")]
    #[serde(skip)]
    pub(super) data_dir: Option<PathBuf>,
    /// Where installed servers are kept
    #[arg(long, env = "NATTERJACK_TOOLS_DIR", value_name = "DIRECTORY")]
    #[serde(skip)]
    pub(super) tools_dir: Option<PathBuf>,
    /// A NATS that runs already; what is sent stays in it, so take one that can be thrown away
    #[arg(long, requires = "edge_url", value_name = "URL")]
    #[serde(skip)]
    pub(super) nats_url: Option<String>,
    /// The edges of that cluster, without rate limits
    #[arg(long, requires = "nats_url", value_name = "URL")]
    #[serde(skip)]
    pub(super) edge_url: Vec<String>,
    /// Streams that share the conversations; where a benchmark sweeps it: several
    #[arg(long, value_delimiter = ',', value_parser = parse_shards, conflicts_with = "nats_url", value_name = "N,…")]
    #[serde(skip)]
    shards: Vec<Shards>,
}

impl ClusterArgs {
    /// One for each number of shards that was asked for: each needs a cluster of its own.
    #[must_use]
    pub fn of_each_shards(&self) -> Vec<Self> {
        if self.shards.len() < 2 {
            return vec![self.clone()];
        }
        let with = |shards: &Shards| Self {
            shards: vec![*shards],
            ..self.below(&format!("shards-{}", shards.count()))
        };
        self.shards.iter().map(with).collect()
    }

    /// One of several clusters of a run: two do not fit into one directory.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self {
            data_dir: self.data_dir.as_ref().map(|dir| dir.join(name)),
            ..self.clone()
        }
    }

    /// Refuses a cluster that runs already, for a benchmark that kills or fills what it measures.
    ///
    /// # Errors
    /// One was named; the message says why that does not go.
    pub fn needs_own(&self, why: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.is_foreign(),
            "this benchmark needs a cluster of its own, because {why}: leave out --nats-url and --edge-url, \
             and it starts one in a temporary directory"
        );
        Ok(())
    }

    /// Whether it runs already, so that its roles are not ours to stop.
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        self.nats_url.is_some()
    }

    /// The topology that is asked for.
    ///
    /// # Errors
    /// Several numbers of shards.
    pub(super) fn settings(&self) -> anyhow::Result<topology::Settings> {
        let standard = topology::Settings::default();
        match self.shards.as_slice() {
            [] => Ok(standard),
            [one] => Ok(topology::Settings {
                shards: *one,
                ..standard
            }),
            _ => anyhow::bail!("this benchmark takes one number of --shards; `bench send` sweeps several"),
        }
    }
}
