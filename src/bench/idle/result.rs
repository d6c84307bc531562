//! What `bench idle` found, and how a person reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::{
    figure::{median, number},
    page::Page,
    report::{About, Report},
    table::Table,
};

/// Figures by role.
pub(super) type ByRole = BTreeMap<String, f64>;

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub(super) about: About,
    /// A gateway that knows nothing of chat, with three subscriptions for each client.
    pub(super) bare: Held,
    pub(super) natterjack: Held,
    /// Our bytes a connection on the edge over those of the bare gateway.
    pub(super) bytes_to_bare: f64,
    pub(super) idle: Idle,
    pub(super) storm: Storm,
}

/// What it costs to have the clients, and to let them in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Held {
    /// Memory that each role has more than before, for each connection.
    pub(super) bytes_each: ByRole,
    /// Socket buffers of the kernel for each connection, both ends of it, where it is told.
    pub(super) kernel_bytes_each: f64,
    pub(super) arriving: Arriving,
}

/// How clients got ready.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Arriving {
    /// From the first try until the last was ready.
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    /// From the start of a connection to `ready`.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// CPU that each role used for one of them, in microseconds.
    pub(super) cpu_us_each: ByRole,
}

/// What the clients cost while nothing happens.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Idle {
    /// CPU that each role uses for one connection in an hour, in milliseconds.
    pub(super) cpu_ms_each_hour: ByRole,
}

/// All edges are killed and started again, and everybody comes back at once.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Storm {
    /// From the kill until all edges took connections again.
    pub(super) edges_ready_s: f64,
    /// From the kill until so many of all were ready again.
    pub(super) half_s: f64,
    pub(super) p99_s: f64,
    pub(super) all_s: f64,
    /// How the tries that succeeded went.
    pub(super) arriving: Arriving,
    /// Connections that were tried, for each client.
    pub(super) tries_each: f64,
    /// Tries that failed, by reason.
    pub(super) failures: BTreeMap<String, u64>,
    /// The most memory of each role meanwhile, in MiB.
    pub(super) peak_mib: ByRole,
    /// Memory of the edges afterwards, for each connection.
    pub(super) edge_bytes_each_after: f64,
}

fn figure<T>(all: &[T], of: impl Fn(&T) -> f64) -> f64 {
    median(all.iter().map(of).collect())
}

fn by_role<T>(all: &[T], of: impl Fn(&T) -> &ByRole) -> ByRole {
    let roles: BTreeSet<&String> = all.iter().flat_map(|one| of(one).keys()).collect();
    let of_role = |role: &String| figure(all, |one| of(one).get(role).copied().unwrap_or_default());
    roles
        .into_iter()
        .map(|role| (role.clone(), of_role(role)))
        .collect()
}

impl Held {
    pub(super) fn median(all: &[Self]) -> Self {
        let arriving: Vec<_> = all.iter().map(|one| one.arriving.clone()).collect();
        Self {
            bytes_each: by_role(all, |one| &one.bytes_each),
            kernel_bytes_each: figure(all, |one| one.kernel_bytes_each),
            arriving: Arriving::median(&arriving),
        }
    }
}

impl Arriving {
    fn median(all: &[Self]) -> Self {
        Self {
            seconds: figure(all, |one| one.seconds),
            per_second: figure(all, |one| one.per_second),
            p50_ms: figure(all, |one| one.p50_ms),
            p99_ms: figure(all, |one| one.p99_ms),
            max_ms: figure(all, |one| one.max_ms),
            cpu_us_each: by_role(all, |one| &one.cpu_us_each),
        }
    }
}

impl Idle {
    pub(super) fn median(all: &[Self]) -> Self {
        Self {
            cpu_ms_each_hour: by_role(all, |one| &one.cpu_ms_each_hour),
        }
    }
}

impl Storm {
    pub(super) fn median(all: &[Self]) -> Self {
        let arriving: Vec<_> = all.iter().map(|one| one.arriving.clone()).collect();
        let mut failures: BTreeMap<String, u64> = BTreeMap::new();
        for (reason, count) in all.iter().flat_map(|one| &one.failures) {
            let most = failures.entry(reason.clone()).or_default();
            *most = (*most).max(*count);
        }
        Self {
            edges_ready_s: figure(all, |one| one.edges_ready_s),
            half_s: figure(all, |one| one.half_s),
            p99_s: figure(all, |one| one.p99_s),
            all_s: figure(all, |one| one.all_s),
            arriving: Arriving::median(&arriving),
            tries_each: figure(all, |one| one.tries_each),
            failures,
            peak_mib: by_role(all, |one| &one.peak_mib),
            edge_bytes_each_after: figure(all, |one| one.edge_bytes_each_after),
        }
    }
}

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        Page::default()
            .table("Memory for each connection, in bytes:", self.memory())
            .table("Connecting:", self.rates())
            .table("CPU for each, and while idle:", self.cpu())
            .text(self.storm.told())
    }
}

impl Result {
    fn memory(&self) -> Table {
        let mut table = Table::new(["", "bare gateway", "natterjack", "after the storm"]);
        let of = |held: &Held, role: &str| {
            held.bytes_each
                .get(role)
                .map_or_else(dash, |bytes| number(*bytes))
        };
        let after = number(self.storm.edge_bytes_each_after);
        for (name, bare, ours, after) in [
            ("gateway or edge", "gateway", "edge", after),
            ("nats-server", "nats-server", "nats-server", dash()),
            ("persister", "persister", "persister", dash()),
        ] {
            table.row(vec![
                name.into(),
                of(&self.bare, bare),
                of(&self.natterjack, ours),
                after,
            ]);
        }
        let kernel = |held: &Held| number(held.kernel_bytes_each);
        table.row(vec![
            "kernel's socket buffers".into(),
            kernel(&self.bare),
            kernel(&self.natterjack),
            dash(),
        ]);
        table
    }

    fn ways(&self) -> [(&'static str, &Arriving); 3] {
        [
            ("bare gateway", &self.bare.arriving),
            ("natterjack", &self.natterjack.arriving),
            ("natterjack, storm", &self.storm.arriving),
        ]
    }

    fn rates(&self) -> Table {
        let mut table = Table::new(["way", "a second", "p50 ms", "p99 ms", "most ms", "all after s"]);
        for (name, arriving) in self.ways() {
            table.row(vec![
                name.into(),
                number(arriving.per_second),
                number(arriving.p50_ms),
                number(arriving.p99_ms),
                number(arriving.max_ms),
                number(arriving.seconds),
            ]);
        }
        table
    }

    fn cpu(&self) -> Table {
        let headings = self.ways().map(|(name, _)| format!("{name}, µs"));
        let mut table = Table::new(
            ["role".to_owned()]
                .into_iter()
                .chain(headings)
                .chain(["idle, ms an hour".to_owned()]),
        );
        let ways = self.ways().map(|(_, arriving)| &arriving.cpu_us_each);
        let idle = &self.idle.cpu_ms_each_hour;
        let roles: BTreeSet<&String> = ways.iter().flat_map(|way| way.keys()).collect();
        for role in roles {
            let each = |way: &ByRole| way.get(role).map_or_else(dash, |us| number(*us));
            table.row(
                [role.clone()]
                    .into_iter()
                    .chain(ways.iter().map(|way| each(way)))
                    .chain([each(idle)])
                    .collect(),
            );
        }
        table
    }
}

impl Storm {
    fn told(&self) -> String {
        let Self {
            edges_ready_s,
            half_s,
            p99_s,
            all_s,
            tries_each,
            failures,
            peak_mib,
            ..
        } = self;
        let counts = |(what, count): (&String, &u64)| format!("{what} {count}");
        let failures: Vec<_> = failures.iter().map(counts).collect();
        let peak = |(role, mib): (&String, &f64)| format!("{role} {}", number(*mib));
        let peak: Vec<_> = peak_mib.iter().map(peak).collect();
        format!(
            "The storm: all edges killed, and ready again after {edges_ready_s:.1} s; half of all clients were back \
             after {half_s:.1} s, 99 % after {p99_s:.1} s, all after {all_s:.1} s, with {tries_each:.1} tries each. \
             Tries that failed: {}. Most memory meanwhile, in MiB: {}.",
            if failures.is_empty() {
                "none".to_owned()
            } else {
                failures.join(", ")
            },
            peak.join(", "),
        )
    }
}

fn dash() -> String {
    "–".into()
}
