//! What `bench fanout` found, and how a person reads it.

use anyhow::Context;
use serde::Serialize;

use super::super::{
    figure::{number, percent},
    page::Page,
    report::{About, Report},
    table::{self, Table},
    window::Window,
};

/// Roles that have to do with the delivery itself, not with keeping history.
const LIVE: [&str; 4] = ["edge", "gateway", "nats-server", "load"];

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub(super) about: About,
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

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        let mut rates = Table::new([
            "members",
            "way",
            "deliveries/s",
            "least–most",
            "of bare",
            "p50 ms",
            "p99 ms",
            "a core and second",
            "with history",
        ]);
        for size in &self.sizes {
            for (name, way) in [("bare", &size.bare), ("natterjack", &size.natterjack)] {
                let window = &way.window;
                rates.row(vec![
                    size.members.to_string(),
                    name.to_owned(),
                    number(window.per_second),
                    window.spread.per_second.range(),
                    percent(window.per_second / size.bare.window.per_second),
                    number(window.latency_ms.p50),
                    number(window.latency_ms.p99),
                    number(way.per_core_second),
                    number(way.per_core_second_all),
                ]);
            }
        }
        let caption = format!(
            "Deliveries (medians of {}); \"a core and second\" counts edge or gateway, nats-server and load generator:",
            self.about.settings["repetitions"],
        );
        let mut page = Page::default().table(caption, rates);
        for size in &self.sizes {
            let windows = [
                ("bare", &size.bare.window),
                ("natterjack", &size.natterjack.window),
            ];
            let caption = format!("CPU per delivery, and memory, with {} members:", size.members);
            page = page.table(caption, table::costs(&windows));
        }
        page
    }
}
