//! What `bench push` found, and how a person reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::{
    figure::{Figure, number},
    page::Page,
    report::{About, Report},
    table::Table,
};

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub about: About,
    /// Users, each with one device.
    pub users: u32,
    /// To encrypt and to sign alone, on one core.
    pub encrypt: Half,
    /// Deciding a backlog.
    pub decide: Half,
    /// Pushing what was decided.
    pub push: Half,
    /// Bytes of the body of a push.
    pub body_bytes: f64,
    /// From the ack of a message to its push.
    pub delay: Delay,
}

/// One way, over its repetitions.
#[derive(Debug, Serialize)]
pub struct Half {
    /// Messages, or pushes, a second.
    pub per_second: Figure,
    /// CPU of each role for one, in microseconds.
    pub cpu_us_each: BTreeMap<String, Figure>,
}

/// One repetition.
#[derive(Debug, Clone)]
pub struct Once {
    pub per_second: f64,
    pub cpu_us_each: BTreeMap<String, f64>,
}

/// From the ack of a message to its push.
#[derive(Debug, Clone, Serialize)]
pub struct Delay {
    /// How many were measured.
    pub messages: u64,
    /// Messages a second meanwhile.
    pub rate: f64,
    /// The grace: it is part of the delay.
    pub grace_ms: u64,
    /// In milliseconds.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Half {
    /// Of these repetitions.
    pub fn of(all: &[Once]) -> Self {
        let roles: BTreeSet<&String> = all.iter().flat_map(|once| once.cpu_us_each.keys()).collect();
        let of =
            |role: &String| Figure::of(all.iter().filter_map(|once| once.cpu_us_each.get(role).copied()));
        Self {
            per_second: Figure::of(all.iter().map(|once| once.per_second)),
            cpu_us_each: roles.into_iter().map(|role| (role.clone(), of(role))).collect(),
        }
    }

    fn cpu_us(&self, role: &str) -> Option<f64> {
        self.cpu_us_each.get(role).map(|figure| figure.median)
    }
}

impl Result {
    fn halves(&self) -> Table {
        let mut table = Table::new([
            "way",
            "a second",
            "least–most",
            "notifier, µs",
            "a second a core of it",
            "of encrypting alone",
            "nats-server, µs",
            "persister, µs",
        ]);
        let alone = self.encrypt.cpu_us("encrypt").unwrap_or(f64::NAN);
        for (name, half, own) in [
            ("encrypt and sign alone, one core", &self.encrypt, "encrypt"),
            ("decide", &self.decide, "notifier"),
            ("push", &self.push, "notifier"),
        ] {
            let cpu = |role: &str| half.cpu_us(role).map_or_else(|| "–".into(), number);
            let own = half.cpu_us(own).unwrap_or(f64::NAN);
            table.row(vec![
                name.into(),
                number(half.per_second.median),
                half.per_second.range(),
                number(own),
                number(1e6 / own),
                super::super::figure::percent(alone / own),
                cpu("nats-server"),
                cpu("persister"),
            ]);
        }
        table
    }

    fn delays(&self) -> Table {
        let Delay {
            p50_ms,
            p99_ms,
            max_ms,
            ..
        } = self.delay;
        let mut table = Table::new(["what", "p50 ms", "p99 ms", "slowest ms"]);
        table.row(vec![
            "ack → push request".into(),
            number(p50_ms),
            number(p99_ms),
            number(max_ms),
        ]);
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
                    "A backlog of {} messages, each for somebody who is away and has one browser; {} bytes a push:",
                    self.users,
                    number(self.body_bytes)
                ),
                self.halves(),
            )
            .table(
                format!(
                    "At {} messages a second, {} of them, {} ms of grace included:",
                    number(self.delay.rate),
                    self.delay.messages,
                    self.delay.grace_ms
                ),
                self.delays(),
            )
    }
}
