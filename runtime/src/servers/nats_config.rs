//! The configuration file of a nats-server that we start.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde_json::json;

/// How often a silent connection is asked whether it is still there, in seconds.
pub const PING_INTERVAL_S: u32 = 10;
/// So many questions may be unanswered; the next one ends the connection.
pub const PINGS_OUT_MAX: u32 = 2;

/// What a nats-server is started with; [`NatsConfig::new`] fills in all but the directory.
#[derive(Debug, Clone)]
pub struct NatsConfig {
    /// Where its configuration, log and JetStream's files are.
    pub dir: PathBuf,
    /// The address it listens on: loopback, unless you also bring authentication.
    pub host: IpAddr,
    /// The port for clients; `None` lets it choose a free one, kept over restarts.
    pub port: Option<u16>,
    /// The name it shows in its own listings.
    pub server_name: String,
    /// The largest message; the default of NATS.
    pub max_payload_bytes: u32,
    /// How many connections it takes.
    pub max_connections: u32,
    /// A bound on the bytes that all streams together may promise, if one is wanted.
    pub store_bytes_max: Option<u64>,
    /// Further lines in the configuration language, such as a `cluster` block.
    pub extra: String,
}

impl NatsConfig {
    /// One node on loopback, on a port of its own choice.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: None,
            server_name: "natterjack".to_owned(),
            max_payload_bytes: 1024 * 1024,
            max_connections: 64 * 1024,
            store_bytes_max: None,
            extra: String::new(),
        }
    }

    /// The file's text. JSON is a part of the configuration language, and its quoting is
    /// the one that is surely right for any path.
    pub(super) fn render(&self, dir: &Path, client_port: Option<u16>, monitor_port: Option<u16>) -> String {
        // The server takes a port of -1 as "any free one".
        let port = client_port.map_or(-1, i32::from);
        let monitor = monitor_port.map_or(-1, i32::from);
        let store_max = self
            .store_bytes_max
            .map(|bytes| format!("\n  max_file_store: {bytes}"))
            .unwrap_or_default();
        format!(
            "# Written at every start; changes made here are lost.\n\
             server_name: {name}\n\
             host: {host}\n\
             port: {port}\n\
             # Monitoring shows what is stored, so it stays on loopback.\n\
             http: {http}\n\
             max_payload: {payload}\n\
             max_connections: {connections}\n\
             # A connection that is held up ends, with all that is on its way over it, well before the\n\
             # streams forget the ids of what was stored or refused meanwhile.\n\
             ping_interval: \"{ping_s}s\"\n\
             ping_max: {ping_max}\n\
             jetstream {{\n  \
               store_dir: {store}\n  \
               # An acknowledged message is on disk: sync before each acknowledgement.\n  \
               sync_interval: always{store_max}\n\
             }}\n{extra}\n",
            name = json!(self.server_name),
            host = json!(self.host.to_string()),
            http = json!(format!("127.0.0.1:{monitor}")),
            payload = self.max_payload_bytes,
            connections = self.max_connections,
            ping_s = PING_INTERVAL_S,
            ping_max = PINGS_OUT_MAX,
            store = json!(dir.to_string_lossy()),
            extra = self.extra,
        )
    }
}
