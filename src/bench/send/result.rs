//! What `bench send` found, and how a person reads it.

use serde::Serialize;

use super::{
    super::{
        figure::{number, percent},
        page::Page,
        report::{About, Report},
        table::{self, Table},
        window::Window,
    },
    load::{Way, Ways},
};

/// Less of a fixed rate than this was not kept up with.
const KEPT_UP: f64 = 0.95;

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub about: About,
    /// One for each number of shards.
    pub shards: Vec<AtShards>,
}

/// What came out with one number of shards.
#[derive(Debug, Serialize)]
pub struct AtShards {
    pub shards: u16,
    /// As many as possible, with so many in flight.
    pub closed: Vec<Closed>,
    /// So many a second.
    pub open: Vec<Open>,
    /// The highest rate of each way.
    pub peak: Ways<f64>,
    /// Our highest rate over the highest raw one.
    pub ratio_to_raw: Option<f64>,
    /// The same against raw publishing while the persister works.
    pub ratio_to_raw_persisted: f64,
}

/// Medians at one concurrency.
#[derive(Debug, Serialize)]
pub struct Closed {
    pub in_flight: usize,
    #[serde(flatten)]
    pub ways: Ways<Window>,
    pub ratio_to_raw: Option<f64>,
    pub ratio_to_raw_persisted: f64,
}

/// Medians at one rate.
#[derive(Debug, Serialize)]
pub struct Open {
    pub rate: f64,
    #[serde(flatten)]
    pub ways: Ways<Window>,
    pub p99_to_raw: Option<f64>,
    pub p99_to_raw_persisted: f64,
    /// Our CPU for an ack, of all roles together, over the raw one.
    pub cpu_to_raw: Option<f64>,
    pub cpu_to_raw_persisted: f64,
}

impl Closed {
    pub fn of(in_flight: usize, ways: Ways<Window>) -> Self {
        let (ratio_to_raw, ratio_to_raw_persisted) = ratios(&ways, |window| window.per_second);
        Self {
            in_flight,
            ways,
            ratio_to_raw,
            ratio_to_raw_persisted,
        }
    }
}

impl Open {
    pub fn of(rate: f64, ways: Ways<Window>) -> Self {
        let (p99_to_raw, p99_to_raw_persisted) = ratios(&ways, |window| window.latency_ms.p99);
        let (cpu_to_raw, cpu_to_raw_persisted) = ratios(&ways, Window::cpu_us_all);
        Self {
            rate,
            ways,
            p99_to_raw,
            p99_to_raw_persisted,
            cpu_to_raw,
            cpu_to_raw_persisted,
        }
    }
}

impl AtShards {
    pub fn of(shards: u16, closed: Vec<Closed>) -> Self {
        let peak = |of: &dyn Fn(&Ways<Window>) -> Option<f64>| {
            closed.iter().filter_map(|one| of(&one.ways)).reduce(f64::max)
        };
        let peak = Ways {
            raw: peak(&|ways| ways.raw.as_ref().map(|raw| raw.per_second)),
            raw_persisted: peak(&|ways| Some(ways.raw_persisted.per_second)).unwrap_or_default(),
            natterjack: peak(&|ways| Some(ways.natterjack.per_second)).unwrap_or_default(),
        };
        Self {
            shards,
            closed,
            open: vec![],
            ratio_to_raw: peak.raw.map(|raw| peak.natterjack / raw),
            ratio_to_raw_persisted: peak.natterjack / peak.raw_persisted,
            peak,
        }
    }

    /// The highest rate of the slowest way.
    pub fn lowest_peak(&self) -> f64 {
        self.peak.all().map(|(_, rate)| *rate).fold(f64::MAX, f64::min)
    }

    fn rates(&self) -> Table {
        let mut rates = Table::new([
            "in flight",
            "way",
            "acks/s",
            "least–most",
            "of raw",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "not yet in Postgres",
        ]);
        for Closed { in_flight, ways, .. } in &self.closed {
            for (way, window) in ways.all() {
                let [p50, p99, p999] = percentiles(window);
                let raw = ways.raw.as_ref().map_or(f64::NAN, |raw| raw.per_second);
                rates.row(vec![
                    in_flight.to_string(),
                    way.name().to_owned(),
                    number(window.per_second),
                    window.spread.per_second.range(),
                    percent(window.per_second / raw),
                    p50,
                    p99,
                    p999,
                    unpersisted(way, window),
                ]);
            }
        }
        rates
    }

    fn at_equal_load(&self) -> Table {
        let mut paced = Table::new([
            "a second",
            "way",
            "CPU µs an ack",
            "of raw",
            "p50 ms",
            "p99 ms",
            "least–most",
            "p99.9 ms",
            "kept up",
        ]);
        for Open { rate, ways, .. } in &self.open {
            for (way, window) in ways.all() {
                let [p50, p99, p999] = percentiles(window);
                let raw = ways.raw.as_ref().map_or(f64::NAN, Window::cpu_us_all);
                let kept_up = window.per_second >= KEPT_UP * rate;
                paced.row(vec![
                    number(*rate),
                    way.name().to_owned(),
                    window.spread.cpu_us_each.to_string(),
                    percent(window.cpu_us_all() / raw),
                    p50,
                    p99,
                    window.spread.p99_ms.range(),
                    p999,
                    if kept_up { "yes" } else { "no" }.to_owned(),
                ]);
            }
        }
        paced
    }

    fn page(&self, repetitions: u64) -> Page {
        let mut page = Page::default().table(
            format!(
                "As many as possible, {} shards (medians of {repetitions}):",
                self.shards
            ),
            self.rates(),
        );
        if !self.open.is_empty() {
            page = page.table(
                format!(
                    "At equal load, {} shards, latency from when each was due:",
                    self.shards
                ),
                self.at_equal_load(),
            );
        }
        // The middle of the fixed rates shows best where the CPU goes; without, the last sweep.
        let middle = self
            .open
            .get(self.open.len() / 2)
            .map(|one| (format!("at {} a second", number(one.rate)), &one.ways));
        let last = self
            .closed
            .last()
            .map(|one| (format!("with {} in flight", one.in_flight), &one.ways));
        if let Some((load, ways)) = middle.or(last) {
            let named: Vec<_> = ways.all().map(|(way, window)| (way.name(), window)).collect();
            let caption = format!("CPU per ack, and memory, {load}, {} shards:", self.shards);
            page = page.table(caption, table::costs(&named));
        }
        page
    }
}

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        let repetitions = self.about.settings["repetitions"].as_u64().unwrap_or_default();
        let of_each = self.shards.iter().map(|one| one.page(repetitions));
        let mut page = of_each.fold(Page::default(), Page::and);
        if self.shards.len() > 1 {
            page = page.table("Acks a second over in flight and shards:", self.matrix());
        }
        for one in &self.shards {
            let raw = one
                .ratio_to_raw
                .map_or_else(String::new, |ratio| format!("{} of raw, ", percent(ratio)));
            page = page.text(format!(
                "Highest rate with {} shards: {raw}{} of raw while the persister works.",
                one.shards,
                percent(one.ratio_to_raw_persisted)
            ));
        }
        page
    }
}

impl Result {
    /// Each cell: natterjack's rate, and its part of raw.
    fn matrix(&self) -> Table {
        let shards = self.shards.iter().map(|one| format!("{} shards", one.shards));
        let mut table = Table::new(std::iter::once("in flight".to_owned()).chain(shards));
        let first = self.shards.first().map_or(&[][..], |one| &one.closed);
        for (index, Closed { in_flight, .. }) in first.iter().enumerate() {
            let cell = |one: &AtShards| {
                let closed = &one.closed[index];
                let of_raw = closed.ratio_to_raw.unwrap_or(f64::NAN);
                format!(
                    "{} ({} of raw)",
                    number(closed.ways.natterjack.per_second),
                    percent(of_raw)
                )
            };
            let cells = self.shards.iter().map(cell);
            table.row(std::iter::once(in_flight.to_string()).chain(cells).collect());
        }
        table
    }
}

/// Natterjack's figure over those of the others.
fn ratios(ways: &Ways<Window>, of: impl Fn(&Window) -> f64) -> (Option<f64>, f64) {
    let ours = of(&ways.natterjack);
    (
        ways.raw.as_ref().map(|raw| ours / of(raw)),
        ours / of(&ways.raw_persisted),
    )
}

fn percentiles(window: &Window) -> [String; 3] {
    let latency = window.latency_ms;
    [latency.p50, latency.p99, latency.p999].map(number)
}

fn unpersisted(way: Way, window: &Window) -> String {
    if way == Way::Raw {
        "–".to_owned()
    } else {
        window.unpersisted.to_string()
    }
}
