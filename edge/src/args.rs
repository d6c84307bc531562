//! What an operator can choose for an edge.

use std::{net::SocketAddr, path::PathBuf};

use natterjack_nats::cluster::NatsArgs;

use crate::{
    auth::AuthArgs,
    http::{RateArgs, TlsArgs},
    presence::PlaceArgs,
};

/// Options of an edge.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to listen for HTTP and WebSocket; port 0 takes a free one
    #[arg(
        id = "edge_listen",
        long = "listen",
        env = "EDGE_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// Where to serve /healthz, /readyz and /metrics; /metrics is then not served where clients come in
    /// [default: all three beside the API]
    #[arg(
        id = "edge_admin_listen",
        long = "admin-listen",
        env = "EDGE_ADMIN_LISTEN",
        value_name = "ADDRESS"
    )]
    pub admin_listen: Option<SocketAddr>,

    /// TLS that ends here
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Where NATS is, and how to log in
    #[command(flatten)]
    pub nats: NatsArgs,

    /// The built web client (web/client/dist), served at /; it is read again when its files change [default:
    /// a page that says how to get it]
    #[arg(
        id = "edge_web_dir",
        long = "web-dir",
        env = "EDGE_WEB_DIR",
        value_name = "DIR"
    )]
    pub web_dir: Option<PathBuf>,

    /// Serve no web client, also where it is part of the program
    #[arg(
        id = "edge_no_web",
        long = "no-web",
        env = "NATTERJACK_NO_WEB",
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub no_web: bool,

    /// Which edge this is, and how it goes
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Sockets and how much they may use
    #[command(flatten)]
    pub socket: SocketArgs,

    /// Who is let in
    #[command(flatten)]
    pub auth: AuthArgs,

    /// How often anything may be asked for
    #[command(flatten)]
    pub rates: RateArgs,

    /// Take registrations for pushes to addresses that are private or without TLS too: for tests, never
    /// where strangers sign up
    #[arg(long, env = "NATTERJACK_PUSH_ANYWHERE", hide = true)]
    pub push_anywhere: bool,
}

/// Limits and times of sockets.
#[derive(Debug, Clone, clap::Args)]
pub struct SocketArgs {
    /// How often a socket is pinged; one that is silent for one and a half times as long is closed
    #[arg(long, env = "EDGE_PING_INTERVAL_MS", default_value_t = 25_000, value_parser = clap::value_parser!(u64).range(100..=600_000), value_name = "MS")]
    pub ping_interval_ms: u64,

    /// How long a new socket may take to say hello
    #[arg(long, env = "EDGE_HELLO_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=600_000), value_name = "MS")]
    pub hello_timeout_ms: u64,

    /// How long a connection may take for the head of its next request
    #[arg(long, env = "EDGE_HEADER_TIMEOUT_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=600_000), value_name = "MS")]
    pub header_timeout_ms: u64,

    /// How long a socket may take no bytes before it counts as slow
    #[arg(long, env = "EDGE_WRITE_TIMEOUT_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=600_000), value_name = "MS")]
    pub write_timeout_ms: u64,

    /// Most live frames that wait for one socket before it counts as slow
    #[arg(long, env = "EDGE_SOCKET_QUEUE_FRAMES", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(8..=65_536), value_name = "N")]
    pub socket_queue_frames: u32,

    /// Most bytes of live frames that wait for one socket before it counts as slow
    #[arg(long, env = "EDGE_SOCKET_QUEUE_BYTES", default_value_t = 4 << 20, value_parser = clap::value_parser!(u64).range((1 << 20)..), value_name = "BYTES")]
    pub socket_queue_bytes: u64,

    /// Most sends of one socket that wait for their ack; beyond it the socket is not read
    #[arg(long, env = "EDGE_SENDS_IN_FLIGHT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4_096), value_name = "N")]
    pub sends_in_flight: u32,

    /// Most sockets of one user on this edge
    #[arg(long, env = "EDGE_USER_CONNECTIONS_MAX", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub user_connections_max: u32,

    /// Most connections to this edge, WebSockets and others
    #[arg(long, env = "EDGE_CONNECTIONS_MAX", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub connections_max: u32,

    /// How long receipts are collected before they are published in one batch
    #[arg(long, env = "EDGE_RECEIPTS_INTERVAL_MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "MS")]
    pub receipts_interval_ms: u64,

    /// Shortest time between two equal typing frames of a socket in one conversation
    #[arg(long, env = "EDGE_TYPING_INTERVAL_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(0..=60_000), value_name = "MS")]
    pub typing_interval_ms: u64,
}
