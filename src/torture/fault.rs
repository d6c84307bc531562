//! What can go wrong in a run, and with what.

use std::fmt;

use serde::Serialize;

/// Groups of faults that can be chosen with `--faults-of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// SIGKILL of a role or server, which comes back after a while
    Kill,
    /// SIGSTOP of a role or server, then SIGCONT
    Pause,
    /// A link is reset, or nothing passes for a while
    Cut,
    /// A link is slow or narrow
    Delay,
    /// The disk of a nats-server or of Postgres is full
    Disk,
    /// The clock of a role or of Postgres is wrong
    Clock,
    /// A client reads nothing
    Slow,
    /// A client leaves or crashes, and comes back
    Churn,
    /// The NATS cluster loses a leader, or a majority
    Cluster,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Kill,
        Self::Pause,
        Self::Cut,
        Self::Delay,
        Self::Disk,
        Self::Clock,
        Self::Slow,
        Self::Churn,
        Self::Cluster,
    ];
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// An edge.
    Edge(usize),
    /// A persister.
    Persister(usize),
    /// A presence process.
    Presence(usize),
    /// A nats-server.
    Nats(usize),
    /// Postgres with its backends.
    Postgres,
}

/// Two parts that talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// All clients and an edge.
    Clients(usize),
    /// An edge and all nats-servers.
    EdgeNats(usize),
    /// A persister and all nats-servers.
    PersisterNats(usize),
    /// A persister and Postgres.
    PersisterPostgres(usize),
    /// A presence process and all nats-servers.
    PresenceNats(usize),
    /// Two nats-servers.
    Route(usize, usize),
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault", content = "of")]
pub enum Fault {
    /// SIGKILL.
    Kill(Part),
    /// SIGSTOP.
    Pause(Part),
    /// Connections are reset.
    Cut(Wire),
    /// Connections stay and nothing passes.
    Still(Wire),
    /// Everything arrives so many milliseconds later.
    Late(Wire, u32),
    /// So many KiB a second pass.
    Narrow(Wire, u32),
    /// There is no byte left for it.
    FullDisk(Part),
    /// Its clock is so many milliseconds ahead.
    Clock(Part, i64),
    /// The client of that number reads nothing.
    Slow(usize),
    /// The client of that number leaves in good order.
    Leave(usize),
    /// The client of that number is gone from one moment to the next.
    Crash(usize),
    /// SIGKILL of the server that leads the stream of a shard.
    Leader(u16),
    /// SIGKILL of two servers of three.
    Majority(usize, usize),
}

impl Fault {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::Pause(_) => Kind::Pause,
            Self::Cut(_) | Self::Still(_) => Kind::Cut,
            Self::Late(..) | Self::Narrow(..) => Kind::Delay,
            Self::FullDisk(_) => Kind::Disk,
            Self::Clock(..) => Kind::Clock,
            Self::Slow(_) => Kind::Slow,
            Self::Leave(_) | Self::Crash(_) => Kind::Churn,
            Self::Leader(_) | Self::Majority(..) => Kind::Cluster,
        }
    }

    /// Whether it is a fault of the server, and not of a client.
    #[must_use]
    pub const fn of_server(&self) -> bool {
        !matches!(self, Self::Slow(_) | Self::Leave(_) | Self::Crash(_))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(index) => write!(f, "edge-{index}"),
            Self::Persister(index) => write!(f, "persister-{index}"),
            Self::Presence(index) => write!(f, "presence-{index}"),
            Self::Nats(index) => write!(f, "nats-{index}"),
            Self::Postgres => write!(f, "postgres"),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients(edge) => write!(f, "clients ↔ edge-{edge}"),
            Self::EdgeNats(edge) => write!(f, "edge-{edge} ↔ nats"),
            Self::PersisterNats(persister) => write!(f, "persister-{persister} ↔ nats"),
            Self::PersisterPostgres(persister) => write!(f, "persister-{persister} ↔ postgres"),
            Self::PresenceNats(presence) => write!(f, "presence-{presence} ↔ nats"),
            Self::Route(one, other) => write!(f, "nats-{one} ↔ nats-{other}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(part) => write!(f, "kill {part}"),
            Self::Pause(part) => write!(f, "pause {part}"),
            Self::Cut(wire) => write!(f, "cut {wire}"),
            Self::Still(wire) => write!(f, "nothing passes {wire}"),
            Self::Late(wire, ms) => write!(f, "{ms} ms late {wire}"),
            Self::Narrow(wire, kib) => write!(f, "{kib} KiB/s {wire}"),
            Self::FullDisk(part) => write!(f, "full disk of {part}"),
            Self::Clock(part, ms) => write!(f, "clock of {part} {ms:+} ms"),
            Self::Slow(client) => write!(f, "client {client} reads nothing"),
            Self::Leave(client) => write!(f, "client {client} leaves"),
            Self::Crash(client) => write!(f, "client {client} crashes"),
            Self::Leader(shard) => write!(f, "kill the leader of CHAT_{shard}"),
            Self::Majority(one, other) => write!(f, "kill a majority: nats-{one} and nats-{other}"),
        }
    }
}
