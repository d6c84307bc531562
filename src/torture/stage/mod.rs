//! What a run happens on: real servers and roles as processes, each pair of them joined by links,
//! each store on a disk of its own and each clock in our hands where the machine allows it.

mod clock;
mod disk;
mod revive;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context;
use natterjack_nats::topology::Settings;
use natterjack_runtime::servers::{Postgres, PostgresConfig, SilentProgress, Tools};

pub use clock::{Hand, library};
pub use disk::{Disk, enter_namespace};

use super::{
    fault::{Part, Wire},
    plan::Shape,
};
use crate::fleet::{Link, NatsNodes, RoleProcess, Weather, audit};

/// What the machine allows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Means {
    /// Disks can be mounted.
    pub disks: bool,
    /// Clocks can be set.
    pub clocks: Option<&'static Path>,
    /// How many minutes it is for.
    pub minutes: u64,
}

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    // In the order in which they go: who works, what they stand on, what that stands on.
    /// The edges.
    pub edges: Vec<RoleProcess>,
    /// The persisters.
    pub persisters: Vec<RoleProcess>,
    /// The presence processes.
    pub presences: Vec<RoleProcess>,
    /// The nats-servers.
    pub nats: NatsNodes,
    /// The Postgres.
    pub postgres: Postgres,
    /// Disks by whose they are.
    pub disks: BTreeMap<Part, Disk>,
    /// Clocks by whose they are.
    pub clocks: BTreeMap<Part, Hand>,
    links: BTreeMap<Wire, Vec<Link>>,
    settings: Settings,
}

impl Stage {
    /// Starts everything below `dir`; all is ready when this returns.
    ///
    /// # Errors
    /// Whatever kept a part from starting.
    pub async fn start(dir: &Path, tools_dir: &Path, shape: Shape, means: Means) -> anyhow::Result<Self> {
        let settings = Settings {
            shards: natterjack_nats::Shards::new(shape.shards).context("so many shards are not possible")?,
            replicas: shape.nats_nodes,
            ..Settings::default()
        };
        let tools = Tools::locate_or_install(tools_dir, &SilentProgress).await?;
        let servers = dir.join("servers");
        std::fs::create_dir_all(&servers).context("the directory of the servers")?;
        let (mut disks, mut clocks) = (BTreeMap::new(), BTreeMap::new());
        if means.disks {
            for (part, at) in stores(&servers, shape) {
                let image = dir.join(format!("{part}.img"));
                disks.insert(part, Disk::mount(&image, &at, means.minutes)?);
            }
        }
        if let Some(library) = means.clocks {
            for part in clocked(shape) {
                clocks.insert(part, Hand::new(library, dir.join(format!("{part}.clock")))?);
            }
        }
        let nats = NatsNodes::start(&tools, &servers, shape.nats_nodes).await?;
        nats.provision(&settings).await?;
        let environment = clocks.get(&Part::Postgres).map(Hand::environment);
        let config = PostgresConfig {
            environment: environment.unwrap_or_default(),
            ..PostgresConfig::new(postgres_dir(dir, &servers, means.disks)?)
        };
        let postgres = Postgres::start(&tools, config).await?;
        let mut stage = Self {
            edges: Vec::new(),
            persisters: Vec::new(),
            presences: Vec::new(),
            nats,
            postgres,
            disks,
            clocks,
            links: BTreeMap::new(),
            settings,
        };
        for index in 0..shape.persisters {
            stage.start_persister(dir, index).await?;
        }
        for index in 0..shape.presences {
            stage.start_presence(dir, index).await?;
        }
        for index in 0..shape.edges {
            stage.start_edge(dir, index).await?;
        }
        Ok(stage)
    }

    async fn start_persister(&mut self, dir: &Path, index: usize) -> anyhow::Result<()> {
        let nats = self.nats_through(Wire::PersisterNats(index)).await?;
        let link = Link::to(loopback(self.postgres.port())).await?;
        let (direct, port) = (self.postgres.url(), self.postgres.port());
        let database = direct.replace(&format!(":{port}/"), &format!(":{}/", link.address().port()));
        self.links.insert(Wire::PersisterPostgres(index), vec![link]);
        let words = [
            ["--nats-url", nats.as_str()],
            ["--database-url", database.as_str()],
            // Passwords are not what is looked at.
            ["--argon2-memory-kib", "8"],
            ["--argon2-passes", "1"],
            // A refresh token works once: one whose answer is lost with a connection logs its device
            // out, by design. That is not what is looked at either.
            ["--access-token-minutes", "30"],
        ];
        let (part, words) = (Part::Persister(index), words.concat());
        let role = self.start_role(dir, part, "persister", "--admin-listen", &words);
        let role = role.await?;
        self.persisters.push(role);
        Ok(())
    }

    async fn start_presence(&mut self, dir: &Path, index: usize) -> anyhow::Result<()> {
        let nats = self.nats_through(Wire::PresenceNats(index)).await?;
        let words = ["--nats-url", nats.as_str()];
        let role = self.start_role(dir, Part::Presence(index), "presence", "--admin-listen", &words);
        let role = role.await?;
        self.presences.push(role);
        Ok(())
    }

    async fn start_edge(&mut self, dir: &Path, index: usize) -> anyhow::Result<()> {
        let nats = self.nats_through(Wire::EdgeNats(index)).await?;
        let words = ["--no-rate-limits", "--nats-url", nats.as_str()];
        let role = self.start_role(dir, Part::Edge(index), "edge", "--listen", &words);
        let role = role.await?;
        let address = role.url().trim_start_matches("http://").parse()?;
        self.links
            .insert(Wire::Clients(index), vec![Link::to(address).await?]);
        self.edges.push(role);
        Ok(())
    }

    async fn start_role(
        &self,
        dir: &Path,
        part: Part,
        role: &'static str,
        listen: &str,
        words: &[&str],
    ) -> anyhow::Result<RoleProcess> {
        let environment = self.clocks.get(&part).map(Hand::environment).unwrap_or_default();
        let (binary, dir) = (std::env::current_exe()?, dir.join(part.to_string()));
        RoleProcess::start_in(environment, &binary, role, listen, words, &dir).await
    }

    /// The nats-servers' address for one part, through links of its own.
    async fn nats_through(&mut self, wire: Wire) -> anyhow::Result<String> {
        let mut links = Vec::new();
        for server in self.nats.servers() {
            links.push(Link::to(loopback(server.port())).await?);
        }
        let urls: Vec<String> = links
            .iter()
            .map(|link| format!("nats://{}", link.address()))
            .collect();
        self.links.insert(wire, links);
        Ok(urls.join(","))
    }

    /// Where the edges answer clients, through links.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let links = (0..self.edges.len()).filter_map(|edge| self.links.get(&Wire::Clients(edge)));
        links
            .flatten()
            .map(|link| format!("http://{}", link.address()))
            .collect()
    }

    /// Every role.
    fn roles(&self) -> impl Iterator<Item = &RoleProcess> {
        self.edges.iter().chain(&self.persisters).chain(&self.presences)
    }

    /// The weather between two parts from now on.
    pub fn set(&self, wire: Wire, weather: Weather) {
        if let Wire::Route(one, other) = wire {
            self.nats.between(one, other).for_each(|link| link.set(weather));
        }
        for link in self.links.get(&wire).into_iter().flatten() {
            link.set(weather);
        }
    }

    /// Waits until everything stored is in Postgres, and presence has looked at every reason to look.
    ///
    /// # Errors
    /// It takes too long; the message names what is missing.
    pub async fn persisted(&self) -> anyhow::Result<()> {
        audit::persisted(&self.nats.urls(), &self.settings).await
    }

    /// Ends everything in good order, and fails if something was left behind: a role that had ended
    /// by itself or told of a panic, a dead letter, an event that was not published.
    ///
    /// # Errors
    /// What was left behind.
    pub async fn finish(self) -> anyhow::Result<()> {
        for role in &self.edges {
            role.stop().await.context("an edge")?;
        }
        self.persisted().await?;
        for role in &self.persisters {
            role.stop().await.context("a persister")?;
        }
        for role in &self.presences {
            role.stop().await.context("a presence process")?;
        }
        for role in self.roles() {
            role.no_panic()?;
        }
        audit::nothing_left(&self.postgres.url()).await?;
        for server in self.nats.servers() {
            server.stop().await;
        }
        self.postgres.stop().await;
        Ok(())
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// What has a disk of its own, and where that is mounted.
fn stores(servers: &Path, shape: Shape) -> Vec<(Part, PathBuf)> {
    let nats = (0..shape.nats_nodes).map(|index| {
        // Logs and configuration stay outside: they tell what happened.
        (
            Part::Nats(index),
            NatsNodes::dir(servers, index).join("jetstream"),
        )
    });
    nats.chain([(Part::Postgres, servers.join("postgres"))]).collect()
}

fn clocked(shape: Shape) -> Vec<Part> {
    let edges = (0..shape.edges).map(Part::Edge);
    let persisters = (0..shape.persisters).map(Part::Persister);
    let presences = (0..shape.presences).map(Part::Presence);
    edges
        .chain(persisters)
        .chain(presences)
        .chain([Part::Postgres])
        .collect()
}

/// The directory of Postgres; on a small disk, its log and process id are kept outside.
fn postgres_dir(dir: &Path, servers: &Path, small: bool) -> anyhow::Result<PathBuf> {
    let at = servers.join("postgres");
    if small {
        for name in ["postgres.log", "pid"] {
            std::os::unix::fs::symlink(dir.join(format!("postgres-{name}")), at.join(name))
                .context("a link out of the small disk")?;
        }
    }
    Ok(at)
}
