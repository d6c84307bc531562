//! What `bench presence` found, and how a person reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::{
    figure::{Figure, number},
    page::Page,
    report::{About, Report},
    table::Table,
};

/// A figure for each role.
pub type ByRole = BTreeMap<String, f64>;
/// The figures of several repetitions, for each role.
pub type FiguresByRole = BTreeMap<String, Figure>;

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub about: About,
    /// Users of the ways without sockets.
    pub users: usize,
    /// Clients of the way with sockets.
    pub clients: usize,
    /// Two writes into a bare bucket, one after the other.
    pub raw: Way,
    /// Sessions written straight into the bucket: users come.
    pub come: Way,
    /// The same users go.
    pub go: Way,
    /// Clients connect through edges.
    pub connect: Way,
    /// They all vanish.
    pub vanish: Way,
    /// Transitions a second of users who come, of the rate of the raw pairs.
    pub come_to_raw: f64,
    /// Bytes that each role holds for a user of whom nothing but the session is there.
    pub bytes_each: FiguresByRole,
    /// Bytes that it holds for a pair of the raw way.
    pub raw_bytes_each: FiguresByRole,
    /// Bytes for a client, its connection included.
    pub client_bytes_each: FiguresByRole,
    /// How long one raw pair takes that is alone.
    pub raw_alone_ms: Figure,
    /// From hello to the frame at a watcher on another edge.
    pub shown: Shown,
    /// What it costs to be told.
    pub watching: Vec<Watching>,
}

/// Transitions, one way.
#[derive(Debug, Default, Serialize)]
pub struct Way {
    /// Transitions a second.
    pub per_second: Figure,
    /// CPU of each role for one, in microseconds.
    pub cpu_us_each: FiguresByRole,
    /// CPU of all roles but the load generator.
    pub cpu_us_all: Figure,
}

/// One repetition of a way.
#[derive(Debug, Clone, Default)]
pub struct Once {
    pub per_second: f64,
    pub cpu_us_each: ByRole,
}

/// How soon a change is told.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// How often it was tried.
    pub samples: usize,
    /// From hello, in milliseconds.
    pub online_p50_ms: f64,
    pub online_p99_ms: f64,
    pub online_max_ms: f64,
    /// From the end of the connection, in milliseconds; the grace is part of it.
    pub offline_p50_ms: f64,
    pub offline_p99_ms: f64,
    pub offline_max_ms: f64,
    /// The grace.
    pub grace_ms: u64,
}

/// Sockets that watch people while others come and go.
#[derive(Debug, Serialize)]
pub struct Watching {
    /// Sockets.
    pub watchers: usize,
    /// People that each of them watches.
    pub watched: usize,
    /// Changes of presence a second meanwhile.
    pub changes_per_second: f64,
    /// Frames that the sockets got for a change.
    pub frames_each: f64,
    /// CPU of each role for a change, in microseconds.
    pub cpu_us_each: ByRole,
    /// The same while the sockets were there and watched nobody.
    pub idle_cpu_us_each: ByRole,
    /// Bytes that the edges hold for each person that a socket watches.
    pub bytes_each: f64,
}

impl Way {
    /// Of several repetitions.
    pub fn of(all: &[Once]) -> Self {
        let load = super::super::cluster::LOAD;
        let served = |once: &Once| -> f64 {
            once.cpu_us_each
                .iter()
                .filter(|(role, _)| *role != load)
                .map(|(_, us)| us)
                .sum()
        };
        Self {
            per_second: Figure::of(all.iter().map(|once| once.per_second)),
            cpu_us_each: figures(all.iter().map(|once| &once.cpu_us_each)),
            cpu_us_all: Figure::of(all.iter().map(served)),
        }
    }
}

/// The figures of several repetitions.
pub fn figures<'a>(all: impl Iterator<Item = &'a ByRole>) -> FiguresByRole {
    let all: Vec<_> = all.collect();
    let roles: BTreeSet<&String> = all.iter().flat_map(|one| one.keys()).collect();
    let of = |role: &String| Figure::of(all.iter().filter_map(|one| one.get(role).copied()));
    roles.into_iter().map(|role| (role.clone(), of(role))).collect()
}

/// A count, to divide by.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn each(count: usize) -> f64 {
    count.max(1) as f64
}

impl Result {
    fn transitions(&self) -> Table {
        let mut table = Table::new([
            "way",
            "transitions/s",
            "least–most",
            "nats-server, µs",
            "presence, µs",
            "edge, µs",
            "all but the load, µs",
        ]);
        for (name, way) in [
            ("raw: two bare writes", &self.raw),
            ("come: sessions written", &self.come),
            ("go: sessions ended", &self.go),
            ("connect: through edges", &self.connect),
            ("vanish: through edges", &self.vanish),
        ] {
            let of = |role: &str| {
                way.cpu_us_each
                    .get(role)
                    .map_or_else(|| "–".into(), |figure| number(figure.median))
            };
            table.row(vec![
                name.into(),
                number(way.per_second.median),
                way.per_second.range(),
                of("nats-server"),
                of("presence"),
                of("edge"),
                number(way.cpu_us_all.median),
            ]);
        }
        table
    }

    fn memory(&self) -> Table {
        let mut table = Table::new(["way", "nats-server, bytes", "presence, bytes", "edge, bytes"]);
        for (name, bytes) in [
            ("raw: two bare entries", &self.raw_bytes_each),
            ("a user online, without a socket", &self.bytes_each),
            (
                "a client online, its connection included",
                &self.client_bytes_each,
            ),
        ] {
            let of = |role: &str| {
                bytes
                    .get(role)
                    .map_or_else(|| "–".into(), |figure| number(figure.median.max(0.0)))
            };
            table.row(vec![name.into(), of("nats-server"), of("presence"), of("edge")]);
        }
        table
    }

    fn latency(&self) -> Table {
        let mut table = Table::new(["what", "p50 ms", "p99 ms", "slowest ms"]);
        let shown = &self.shown;
        table.row(vec![
            "raw: two bare writes".into(),
            number(self.raw_alone_ms.median),
        ]);
        table.row(vec![
            "hello → `online` at a watcher on another edge".into(),
            number(shown.online_p50_ms),
            number(shown.online_p99_ms),
            number(shown.online_max_ms),
        ]);
        table.row(vec![
            format!(
                "closed → `offline` there, {} ms of grace included",
                shown.grace_ms
            ),
            number(shown.offline_p50_ms),
            number(shown.offline_p99_ms),
            number(shown.offline_max_ms),
        ]);
        table
    }

    fn watches(&self) -> Table {
        let mut table = Table::new([
            "sockets",
            "people each",
            "changes/s",
            "frames a change",
            "edge, µs a change",
            "watching nobody",
            "nats-server, µs a change",
            "watching nobody",
            "edge, bytes a person watched",
        ]);
        for one in &self.watching {
            let of = |bytes: &ByRole, role: &str| number(bytes.get(role).copied().unwrap_or_default());
            table.row(vec![
                one.watchers.to_string(),
                one.watched.to_string(),
                number(one.changes_per_second),
                number(one.frames_each),
                of(&one.cpu_us_each, "edge"),
                of(&one.idle_cpu_us_each, "edge"),
                of(&one.cpu_us_each, "nats-server"),
                of(&one.idle_cpu_us_each, "nats-server"),
                number(one.bytes_each.max(0.0)),
            ]);
        }
        table
    }
}

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        Page::default()
            .table(
                format!(
                    "Transitions: {} users by sessions written straight into the bucket, {} clients through edges. \
                     Users come at {:.0} % of the rate of raw pairs.",
                    self.users,
                    self.clients,
                    self.come_to_raw * 100.0
                ),
                self.transitions(),
            )
            .table("Memory of each role for one of them:", self.memory())
            .table(
                format!("How soon it is told, {} times one after the other:", self.shown.samples),
                self.latency(),
            )
            .table("What watching costs:", self.watches())
    }
}
