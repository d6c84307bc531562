//! What `bench fanout` found, and how a person reads it.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Serialize;

use super::super::{
    cluster::Facts,
    machine::Machine,
    table::{self, Table},
    window::Window,
};

/// Roles that have to do with the delivery itself, not with keeping history.
const LIVE: [&str; 4] = ["edge", "gateway", "nats-server", "load"];

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    pub(super) benchmark: &'static str,
    pub(super) machine: Machine,
    pub(super) cluster: Facts,
    pub(super) settings: BTreeMap<&'static str, serde_json::Value>,
    pub(super) sizes: Vec<Size>,
}

/// Medians for one size of conversations.
#[derive(Debug, Serialize)]
pub(super) struct Size {
    pub(super) members: usize,
    pub(super) bare: Way,
    pub(super) natterjack: Way,
    /// Our deliveries a second over the bare ones.
    pub(super) ratio_to_bare: f64,
    /// Our CPU for a delivery over the bare one, edge or gateway alone.
    pub(super) edge_cpu_to_bare: f64,
}

/// One way of delivering.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    pub(super) window: Window,
    /// Deliveries for a second of CPU of edge, nats-server and load generator together.
    pub(super) per_core_second: f64,
    /// The same with the persister and Postgres counted in.
    pub(super) per_core_second_all: f64,
}

impl Way {
    /// The medians.
    pub(super) fn of(windows: &[Window]) -> anyhow::Result<Self> {
        let window = Window::median(windows).context("nothing was measured")?;
        let per = |us: f64| if us > 0.0 { 1_000_000.0 / us } else { 0.0 };
        let live = LIVE.iter().filter_map(|role| window.cpu_us_each.get(*role)).sum();
        let all = window.cpu_us_each.values().sum();
        Ok(Self {
            per_core_second: per(live),
            per_core_second_all: per(all),
            window,
        })
    }
}

impl Result {
    /// For a person.
    pub fn table(&self) -> String {
        let headings = [
            "members",
            "way",
            "deliveries/s",
            "of bare",
            "p50 ms",
            "p99 ms",
            "a core and second",
            "with history",
        ];
        let mut rates = Table::new(headings);
        let mut costs = String::new();
        for size in &self.sizes {
            for (name, way) in [("bare", &size.bare), ("natterjack", &size.natterjack)] {
                rates.row(vec![
                    size.members.to_string(),
                    name.to_owned(),
                    format!("{:.0}", way.window.per_second),
                    format!(
                        "{:.0} %",
                        100.0 * way.window.per_second / size.bare.window.per_second
                    ),
                    format!("{:.2}", way.window.latency_ms.p50),
                    format!("{:.2}", way.window.latency_ms.p99),
                    format!("{:.0}", way.per_core_second),
                    format!("{:.0}", way.per_core_second_all),
                ]);
            }
            let windows = [
                ("bare", &size.bare.window),
                ("natterjack", &size.natterjack.window),
            ];
            costs += &format!(
                "\nCPU per delivery in µs, and memory, with {} members:\n\n{}",
                size.members,
                table::costs(&windows)
            );
        }
        format!(
            "{}\n\nDeliveries (medians of {}); \"a core and second\" counts edge or gateway, nats-server and load generator:\n\n{rates}{costs}",
            table::heading(&self.machine, &self.cluster),
            self.settings["repetitions"],
        )
    }
}
