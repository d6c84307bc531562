//! The crowds of one measurement, driven together.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use super::{
    super::cluster::Cluster,
    crowd::{Arrival, Counts, Person, Report},
    memory::{self, Bytes},
};

/// Clients that one process holds; it must have some files left.
const CLIENTS_MAX: usize = 10_000;
const POLL: Duration = Duration::from_millis(100);
/// How long it may take until all are connected.
const PATIENCE: Duration = Duration::from_secs(600);

/// Load processes that hold clients.
pub struct Crew {
    urls: Vec<String>,
    http: reqwest::Client,
    clients: usize,
}

/// How all clients got ready.
#[derive(Debug, Default)]
pub struct Gathering {
    /// When each did, and how long its connection took.
    pub arrivals: Vec<Arrival>,
    /// Connections that were tried.
    pub tries: u64,
    /// Those that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// The most memory that each role was seen to have.
    pub peak: Bytes,
}

impl Crew {
    /// Starts as many processes as these clients need.
    ///
    /// # Errors
    /// The cluster is not ours, or a process does not start.
    pub async fn start(cluster: &mut Cluster, people: &[Person]) -> anyhow::Result<Self> {
        let dir = cluster
            .dir()
            .context("this benchmark needs a cluster of its own: leave --nats-url out")?
            .to_owned();
        let mut urls = Vec::new();
        for (index, some) in people.chunks(CLIENTS_MAX).enumerate() {
            let file = dir.join(format!("people-{index}.jsonl"));
            let lines: Vec<String> = some.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            tokio::fs::write(&file, lines.join("\n")).await?;
            let path = file.to_string_lossy();
            urls.push(
                cluster
                    .start_process("load", &["crowd", "--people", &path], index)
                    .await?,
            );
        }
        Ok(Self {
            urls,
            http: reqwest::Client::new(),
            clients: people.len(),
        })
    }

    /// Connects all clients, so many at once over all processes.
    ///
    /// # Errors
    /// They do not all get there; the message tells why.
    pub async fn connect(&self, cluster: &Cluster, at_once: usize) -> anyhow::Result<Gathering> {
        let each = (at_once / self.urls.len()).max(1);
        for url in &self.urls {
            let answer = self.http.post(format!("{url}/connect/{each}")).send().await?;
            answer.error_for_status()?;
        }
        self.gather(cluster).await
    }

    /// Waits until all are connected, and answers how that went since it was last asked.
    ///
    /// # Errors
    /// They do not all get there; the message tells why.
    pub async fn gather(&self, cluster: &Cluster) -> anyhow::Result<Gathering> {
        let deadline = Instant::now() + PATIENCE;
        let mut all = Gathering::default();
        loop {
            all.peak = memory::peak(all.peak, &memory::anonymous(&cluster.processes()));
            let counts = self.counts().await?;
            if counts.ready == self.clients {
                break;
            }
            if Instant::now() > deadline {
                let Counts { ready, failures, .. } = counts;
                bail!(
                    "{ready} of {} clients are connected after {PATIENCE:?}: {failures:?}",
                    self.clients
                );
            }
            sleep(POLL).await;
        }
        for url in &self.urls {
            let answer = self.http.post(format!("{url}/report")).send().await?;
            let Report { counts, arrivals } = answer.error_for_status()?.json().await?;
            all.arrivals.extend(arrivals);
            all.tries += counts.tries;
            for (reason, count) in counts.failures {
                *all.failures.entry(reason).or_default() += count;
            }
        }
        Ok(all)
    }

    async fn counts(&self) -> anyhow::Result<Counts> {
        let mut sum = Counts::default();
        for url in &self.urls {
            let answer = self.http.get(format!("{url}/counts")).send().await?;
            let Counts {
                ready,
                tries,
                failures,
            } = answer.error_for_status()?.json().await?;
            sum.ready += ready;
            sum.tries += tries;
            for (reason, count) in failures {
                *sum.failures.entry(reason).or_default() += count;
            }
        }
        Ok(sum)
    }

    /// Waits until all have noticed that they lost their connection.
    ///
    /// # Errors
    /// A process does not answer.
    pub async fn scattered(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.counts().await?.ready > 0 {
            anyhow::ensure!(
                Instant::now() < deadline,
                "clients do not notice that they are disconnected"
            );
            sleep(POLL / 10).await;
        }
        Ok(())
    }
}
