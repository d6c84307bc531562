//! One nats-server, or a cluster of three whose routes lead through links.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use natterjack_nats::{cluster, provision, topology::Settings};
use natterjack_runtime::servers::{NatsConfig, NatsServer, Tools};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::link::Link;

/// How long a new cluster may take to choose its first leaders.
const LEADERS_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// Streams promise more than a small disk has: a full disk is found by writing, not by counting.
const STORE_BYTES_MAX: u64 = 64 << 30;

/// The servers, each in a directory of its own.
#[derive(Debug)]
pub struct NatsNodes {
    servers: Vec<NatsServer>,
    routes: Vec<Route>,
}

/// What one server opens to another.
#[derive(Debug)]
struct Route {
    from: usize,
    to: usize,
    link: Link,
}

impl NatsNodes {
    /// Starts one server, or three that form a cluster, below `dir`.
    ///
    /// # Errors
    /// A server that does not start: the message ends with its last log lines.
    pub async fn start(tools: &Tools, dir: &Path, count: usize) -> anyhow::Result<Self> {
        let mut nodes = Self {
            servers: Vec::with_capacity(count),
            routes: Vec::new(),
        };
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect::<Result<_, _>>()?;
        for from in 0..count {
            for (to, port) in ports.iter().enumerate().filter(|(to, _)| *to != from) {
                let link = Link::to(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).await?;
                nodes.routes.push(Route { from, to, link });
            }
        }
        for (index, port) in ports.iter().enumerate() {
            let config = NatsConfig {
                server_name: format!("nats-{index}"),
                store_bytes_max: Some(STORE_BYTES_MAX),
                extra: if count > 1 {
                    nodes.cluster(index, *port)
                } else {
                    String::new()
                },
                ..NatsConfig::new(Self::dir(dir, index))
            };
            let server = NatsServer::start(tools, config).await;
            nodes
                .servers
                .push(server.with_context(|| format!("nats-{index} did not start"))?);
        }
        Ok(nodes)
    }

    /// The directory of one server below that of all.
    #[must_use]
    pub fn dir(dir: &Path, index: usize) -> std::path::PathBuf {
        dir.join(format!("nats-{index}"))
    }

    fn cluster(&self, index: usize, port: u16) -> String {
        let routes = self.routes.iter().filter(|route| route.from == index);
        let routes: Vec<String> = routes
            .map(|route| format!("nats-route://{}", route.link.address()))
            .collect();
        // Addresses that servers learn from each other would lead around the links, so that they
        // are told one where nobody listens.
        format!(
            "cluster {{\n  name: natterjack\n  listen: {}\n  no_advertise: true\n  advertise: {}\n  routes: {}\n}}",
            json!(format!("127.0.0.1:{port}")),
            json!("127.0.0.1:1"),
            json!(routes),
        )
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// The links between two servers, one for each direction.
    pub fn between(&self, one: usize, other: usize) -> impl Iterator<Item = &Link> {
        self.routes
            .iter()
            .filter(move |route| {
                (route.from, route.to) == (one, other) || (route.from, route.to) == (other, one)
            })
            .map(|route| &route.link)
    }

    /// Where clients connect, all of it, around every link.
    #[must_use]
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// Makes streams, buckets and consumers, once the cluster has leaders.
    ///
    /// # Errors
    /// It has none after a minute, or refuses.
    pub async fn provision(&self, settings: &Settings) -> anyhow::Result<()> {
        let deadline = Instant::now() + LEADERS_WITHIN;
        loop {
            let client = cluster::connect(&self.urls(), "natterjack provision", |_| {}).await?;
            let context = async_nats::jetstream::new(client);
            match provision::provision(&context, settings, false).await {
                Ok(_) => return Ok(()),
                // It goes on where it stopped.
                Err(error) if self.servers.len() == 1 || Instant::now() > deadline => {
                    return Err(error.into());
                }
                Err(_) => sleep(POLL).await,
            }
        }
    }
}

/// A port that was free just now: routes have to know each other's before anybody listens.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
