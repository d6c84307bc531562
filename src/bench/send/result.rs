//! What `bench send` found, and how a person reads it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    super::{
        cluster::Facts,
        machine::Machine,
        table::{self, Table},
        window::Window,
    },
    Way,
};

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    pub(super) benchmark: &'static str,
    pub(super) machine: Machine,
    pub(super) cluster: Facts,
    pub(super) settings: BTreeMap<&'static str, serde_json::Value>,
    /// As many as possible, with so many in flight.
    pub(super) closed: Vec<Closed>,
    /// So many a second.
    pub(super) open: Open,
    /// Our highest rate over the highest raw one.
    pub(super) ratio_to_raw: f64,
    /// The same against raw publishing while the persister works.
    pub(super) ratio_to_raw_persisted: f64,
}

/// Medians at one concurrency.
#[derive(Debug, Serialize)]
pub(super) struct Closed {
    pub(super) in_flight: usize,
    pub(super) raw: Window,
    pub(super) raw_persisted: Window,
    pub(super) natterjack: Window,
    pub(super) ratio_to_raw: f64,
    pub(super) ratio_to_raw_persisted: f64,
}

/// Medians at one rate.
#[derive(Debug, Serialize)]
pub(super) struct Open {
    pub(super) rate: f64,
    pub(super) raw: Window,
    pub(super) raw_persisted: Window,
    pub(super) natterjack: Window,
    pub(super) p99_to_raw: f64,
    pub(super) p99_to_raw_persisted: f64,
}

impl Result {
    /// For a person.
    pub fn table(&self) -> String {
        let mut rates = Table::new([
            "in flight",
            "way",
            "acks/s",
            "of raw",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "not yet in Postgres",
        ]);
        for one in &self.closed {
            for (way, window) in Way::ALL
                .into_iter()
                .zip([&one.raw, &one.raw_persisted, &one.natterjack])
            {
                rates.row(row(one.in_flight.to_string(), way, window, &one.raw));
            }
        }
        let mut paced = Table::new([
            "a second",
            "way",
            "acks/s",
            "of raw",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "not yet in Postgres",
        ]);
        let open = &self.open;
        for (way, window) in Way::ALL
            .into_iter()
            .zip([&open.raw, &open.raw_persisted, &open.natterjack])
        {
            paced.row(row(format!("{:.0}", open.rate), way, window, &open.raw));
        }
        let last = self.closed.last();
        let costs = last.map(|one| {
            let named = [
                ("raw", &one.raw),
                ("raw, persisted", &one.raw_persisted),
                ("natterjack", &one.natterjack),
            ];
            format!(
                "CPU per ack in µs, and memory, with {} in flight:\n\n{}",
                one.in_flight,
                table::costs(&named)
            )
        });
        format!(
            "{}\n\nAs many as possible (medians of {}):\n\n{rates}\nAt a fixed rate, latency from when each was due:\n\n{paced}\n{}\n\
             Highest rate: {:.0} % of raw, {:.0} % of raw while the persister works.\n\
             p99 at {:.0} a second: {:.2} × raw, {:.2} × raw while the persister works.",
            table::heading(&self.machine, &self.cluster),
            self.settings["repetitions"],
            costs.unwrap_or_default(),
            self.ratio_to_raw * 100.0,
            self.ratio_to_raw_persisted * 100.0,
            open.rate,
            open.p99_to_raw,
            open.p99_to_raw_persisted,
        )
    }
}

fn row(load: String, way: Way, window: &Window, raw: &Window) -> Vec<String> {
    let latency = window.latency_ms;
    vec![
        load,
        way.name().to_owned(),
        format!("{:.0}", window.per_second),
        format!("{:.0} %", 100.0 * window.per_second / raw.per_second),
        format!("{:.2}", latency.p50),
        format!("{:.2}", latency.p99),
        format!("{:.2}", latency.p999),
        if way == Way::Raw {
            "–".to_owned()
        } else {
            window.unpersisted.to_string()
        },
    ]
}
