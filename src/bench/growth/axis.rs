//! What grows, in which sizes, and which benchmark measures it.

use natterjack_runtime::servers::Progress;
use serde::Serialize;

use super::{
    super::{
        fanout, idle, presence,
        report::{About, Report},
        send,
    },
    Args,
    curve::{Curve, Source},
};
use crate::role;

/// A fixed rate that any machine keeps up with, for what is compared at equal load.
const RATE: &str = "500";
/// How long connections rest before their memory is looked at: longer than until heads are compared.
const SETTLE_MS: &str = "3000";
/// Clients who connect while something else grows.
const CLIENTS: &str = "1000";
/// What idling costs is not looked at here.
const IDLE_MS: &str = "100";
/// 1:1 chats and groups of this axis need enough users for the largest.
const USERS_MIN: u32 = 60;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Clients who are connected and idle
    Clients,
    /// Users who are connected while others send
    Users,
    /// Members of a group
    Members,
    /// Conversations that the streams hold
    Conversations,
    /// Conversations that the streams hold, while clients connect
    Stored,
    /// Edges
    Edges,
    /// Users who are online
    Online,
}

/// What a benchmark found.
pub struct Found {
    pub about: About,
    pub json: serde_json::Value,
}

impl Axis {
    /// All of them.
    pub fn all() -> &'static [Self] {
        <Self as clap::ValueEnum>::value_variants()
    }

    /// For a person, and for the names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Users => "users",
            Self::Members => "members",
            Self::Conversations => "conversations",
            Self::Stored => "stored",
            Self::Edges => "edges",
            Self::Online => "online",
        }
    }

    /// What the sizes count.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clients => "connected clients",
            Self::Users => "connected users",
            Self::Members => "members of each group",
            Self::Conversations | Self::Stored => "conversations in the streams",
            Self::Edges => "edges",
            Self::Online => "users who are online",
        }
    }

    /// The usual sizes.
    pub fn sizes(self, quick: bool) -> Vec<u32> {
        let (few, all): (&[u32], &[u32]) = match self {
            Self::Clients => (&[300, 3_000], &[500, 1_500, 5_000]),
            Self::Users => (&[100, 1_000], &[100, 300, 1_000, 3_000]),
            Self::Members => (&[2, 20, 200], &[2, 10, 30, 100, 300, 1_000]),
            Self::Conversations | Self::Stored => (&[1_000, 10_000], &[1_000, 10_000, 100_000]),
            Self::Edges => (&[1, 3], &[1, 2, 3, 4]),
            Self::Online => (&[300, 3_000], &[1_000, 4_000, 16_000]),
        };
        if quick { few } else { all }.to_vec()
    }

    /// What is looked at along it.
    pub fn curves(self) -> Vec<Curve> {
        let ack = |role: &str, baseline: Option<&str>| Source {
            ours: format!("/shards/0/open/0/natterjack/{role}"),
            baseline: baseline.map(|role| format!("/shards/0/open/0/raw_persisted/{role}")),
        };
        let delivery = |ours: &str, baseline: Option<&str>| Source {
            ours: format!("/sizes/0/natterjack/{ours}"),
            baseline: baseline.map(|baseline| format!("/sizes/0/bare/{baseline}")),
        };
        let all = "spread/cpu_us_each";
        let deliveries = |linear: f64| {
            vec![
                Curve::new(
                    "CPU for a delivery, everything together",
                    "µs",
                    linear,
                    delivery("window/spread/cpu_us_each", Some("window/spread/cpu_us_each")),
                    "bare gateway",
                ),
                Curve::new(
                    "CPU for a delivery, edge alone",
                    "µs",
                    linear,
                    delivery("window/cpu_us_each/edge", Some("window/cpu_us_each/gateway")),
                    "bare gateway",
                ),
                Curve::new(
                    "p99 of a delivery, as many as possible",
                    "ms",
                    1.0,
                    delivery("window/spread/p99_ms", Some("window/spread/p99_ms")),
                    "bare gateway",
                ),
            ]
        };
        let acks = vec![
            Curve::new(
                "CPU for an ack, everything together",
                "µs",
                0.0,
                ack(all, Some(all)),
                "raw JetStream, persisted",
            ),
            Curve::new(
                "p99 of an ack at 500 a second",
                "ms",
                0.0,
                ack("spread/p99_ms", Some("spread/p99_ms")),
                "raw JetStream, persisted",
            ),
        ];
        let memory = |role: &str, name: &'static str, linear: f64| {
            Curve::new(name, "MiB", linear, ack(&format!("rss_mib/{role}"), None), "")
        };
        let connection = |name: &'static str, unit: &'static str, ours: &str, bare: &str| {
            let source = Source {
                ours: format!("/natterjack/{ours}"),
                baseline: Some(format!("/bare/{bare}")),
            };
            Curve::new(name, unit, 0.0, source, "bare gateway")
        };
        match self {
            Self::Clients => vec![
                connection(
                    "memory of the edge for a connection",
                    "bytes",
                    "bytes_each/edge",
                    "bytes_each/gateway",
                ),
                connection(
                    "memory of nats-server for a connection",
                    "bytes",
                    "bytes_each/nats-server",
                    "bytes_each/nats-server",
                ),
                connection(
                    "CPU of the edge to connect one",
                    "µs",
                    "arriving/cpu_us_each/edge",
                    "arriving/cpu_us_each/gateway",
                ),
                Curve::new(
                    "until all are back after a crash",
                    "s",
                    1.0,
                    Source {
                        ours: "/storm/all_s".into(),
                        baseline: None,
                    },
                    "",
                ),
            ],
            Self::Users => acks,
            Self::Conversations => acks
                .into_iter()
                .chain([memory("nats-server", "memory of nats-server", 1.0)])
                .collect(),
            Self::Stored => vec![
                connection(
                    "CPU of nats-server to connect one",
                    "µs",
                    "arriving/cpu_us_each/nats-server",
                    "arriving/cpu_us_each/nats-server",
                ),
                connection(
                    "CPU of the persister to connect one",
                    "µs",
                    "arriving/cpu_us_each/persister",
                    "arriving/cpu_us_each/persister",
                ),
                connection(
                    "CPU of Postgres to connect one",
                    "µs",
                    "arriving/cpu_us_each/postgres",
                    "arriving/cpu_us_each/postgres",
                ),
                connection(
                    "p99 until one is ready",
                    "ms",
                    "arriving/p99_ms",
                    "arriving/p99_ms",
                ),
            ],
            Self::Members => deliveries(0.0),
            // A message goes to every edge with a member: in proportion is what it must be.
            Self::Edges => deliveries(1.0),
            Self::Online => online(),
        }
    }

    /// Runs its benchmark with one size.
    pub async fn measure(self, args: &Args, size: u32, progress: &dyn Progress) -> anyhow::Result<Found> {
        let number = size.to_string();
        let users = size.max(USERS_MIN).to_string();
        match self {
            Self::Clients => idles(args, &[("--clients", &number)], progress).await,
            Self::Users => sends(args, &[("--connected", &number)], progress).await,
            Self::Conversations => sends(args, &[("--conversations", &number)], progress).await,
            Self::Stored => idles(args, &[("--clients", CLIENTS), ("--stored", &number)], progress).await,
            Self::Members => fanouts(args, &[("--members", &number), ("--users", &users)], progress).await,
            Self::Edges => {
                fanouts(
                    args,
                    &[("--edges", &number), ("--members", "12"), ("--users", &users)],
                    progress,
                )
                .await
            }
            Self::Online => presences(args, &[("--users", &number), ("--clients", &number)], progress).await,
        }
    }
}

/// What one who is online costs.
fn online() -> Vec<Curve> {
    let curve = |name: &'static str, unit: &'static str, ours: &str, bare: Option<&str>| {
        let source = Source {
            ours: ours.into(),
            baseline: bare.map(Into::into),
        };
        Curve::new(name, unit, 0.0, source, "two bare writes")
    };
    vec![
        curve(
            "CPU for one who comes, presence and nats-server",
            "µs",
            "/come/cpu_us_all",
            Some("/raw/cpu_us_all"),
        ),
        curve(
            "memory of nats-server for a user online",
            "bytes",
            "/bytes_each/nats-server",
            Some("/raw_bytes_each/nats-server"),
        ),
        curve(
            "memory of the edges for a client online",
            "bytes",
            "/client_bytes_each/edge",
            None,
        ),
        curve(
            "p99 until a watcher is told",
            "ms",
            "/shown/online_p99_ms",
            Some("/raw_alone_ms"),
        ),
        curve(
            "CPU of the edges for a change, 50 sockets that watch 100 each",
            "µs",
            "/watching/0/cpu_us_each/edge",
            None,
        ),
    ]
}

async fn sends(args: &Args, options: &[(&str, &str)], progress: &dyn Progress) -> anyhow::Result<Found> {
    let mut send: send::Args = role::args(&with_common(args, &[("--rate", RATE)], options).borrowed())?;
    send.in_flight.clear();
    send.cluster = args.cluster.clone();
    found(send::run(&send, progress).await?)
}

async fn fanouts(args: &Args, options: &[(&str, &str)], progress: &dyn Progress) -> anyhow::Result<Found> {
    let mut fanout: fanout::Args = role::args(&with_common(args, &[], options).borrowed())?;
    fanout.cluster = args.cluster.clone();
    found(fanout::run(&fanout, progress).await?)
}

async fn idles(args: &Args, options: &[(&str, &str)], progress: &dyn Progress) -> anyhow::Result<Found> {
    let repetitions = args.repetitions().to_string();
    let usual = [
        ("--repetitions", repetitions.as_str()),
        ("--settle-ms", SETTLE_MS),
        ("--idle-ms", IDLE_MS),
    ];
    let mut idle: idle::Args = role::args(&[&usual, options].concat())?;
    idle.cluster = args.cluster.clone();
    found(idle::run(&idle, progress).await?)
}

async fn presences(args: &Args, options: &[(&str, &str)], progress: &dyn Progress) -> anyhow::Result<Found> {
    let usual = [("--watchers", "50"), ("--watched", "100"), ("--samples", "100")];
    let options = with_common(args, &usual, options);
    let mut presence: presence::Args = role::args(&options.borrowed())?;
    presence.cluster = args.cluster.clone();
    found(presence::run(&presence, progress).await?)
}

fn found<T: Report>(result: T) -> anyhow::Result<Found> {
    Ok(Found {
        about: result.about().clone(),
        json: serde_json::to_value(result)?,
    })
}

/// Options of a benchmark, by name.
struct Options(Vec<(String, String)>);

fn with_common(args: &Args, more: &[(&str, &str)], options: &[(&str, &str)]) -> Options {
    let common = [
        ("--warm-up-ms", args.warm_up_ms.to_string()),
        ("--measure-ms", args.measure_ms.to_string()),
        ("--repetitions", args.repetitions().to_string()),
    ];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let common = common.map(|(name, value)| (name.to_owned(), value));
    Options(
        common
            .into_iter()
            .chain(more.iter().chain(options).map(owned))
            .collect(),
    )
}

impl Options {
    fn borrowed(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}
