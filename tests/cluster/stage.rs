//! What all scenes share: the cluster, those who talk in it, and who operates it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;
use async_nats::jetstream;
use natterjack_nats::{
    access::User,
    cluster::{self, NatsArgs},
};

use super::{console::Console, crowd::Crowd, stand::Cluster};

/// Where all three servers are.
pub const NATS_URL: &str = "tls://nats-1:4222,tls://nats-2:4222,tls://nats-3:4222";

/// The cluster, and people.
pub struct Stage {
    pub cluster: Cluster,
    /// What `provision --write-config` wrote.
    pub config: PathBuf,
    pub crowd: Crowd,
    /// None where the `nats` command line cannot be had.
    pub console: Option<Console>,
}

impl Stage {
    /// Restarts these services together, each as an engine does it.
    pub async fn restart(&mut self, names: &[&str]) -> anyhow::Result<()> {
        for name in names {
            let took = self.cluster.of(name)?.stop().await?;
            println!("{name} ended in {took:?}");
            self.cluster.of(name)?.start()?;
        }
        let begun = Instant::now();
        for name in names {
            self.cluster.healthy(name).await?;
        }
        println!("healthy again after {:?}: {names:?}", begun.elapsed());
        Ok(())
    }

    /// JetStream, as one who may see everything.
    pub async fn jetstream(&self) -> anyhow::Result<jetstream::Context> {
        let admin = nats(&self.config, &self.config.join("nkeys/admin.nk")).login(User::Admin);
        let client = cluster::connect(admin, "natterjack test", |_| {}).await?;
        Ok(jetstream::new(client))
    }

    /// The longest time that a client was without a connection, and how often that was.
    pub fn gaps(&self) -> (Duration, u32) {
        let all = self.crowd.recorder.gaps();
        all.values()
            .fold((Duration::ZERO, 0), |(longest, all), (gap, count)| {
                (longest.max(*gap), all + count)
            })
    }

    /// Fails if anybody lost the connection since then.
    pub fn nobody_was_dropped(&self, since: (Duration, u32)) -> anyhow::Result<()> {
        let now = self.gaps();
        ensure!(
            now == since,
            "somebody was dropped: {:?}",
            self.crowd.recorder.gaps()
        );
        Ok(())
    }
}

/// How to log in to all servers with this key.
pub fn nats(config: &Path, nkey: &Path) -> NatsArgs {
    NatsArgs {
        url: NATS_URL.into(),
        nkey: Some(nkey.to_owned()),
        creds: None,
        ca: Some(config.join("tls/ca.pem")),
    }
}
