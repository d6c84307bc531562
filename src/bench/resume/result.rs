//! What `bench resume` found, and how a person reads it.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use serde::Serialize;

use super::{
    super::{
        cost::Cost,
        figure::{Figure, number},
        page::Page,
        report::{About, Report},
        table::Table,
    },
    Place,
    back::{Back, Returning},
};

/// What came out.
#[derive(Debug, Serialize)]
pub struct Result {
    #[serde(flatten)]
    pub about: About,
    pub resumed: Vec<Resumed>,
}

/// Some clients that came back, several times.
#[derive(Debug, Serialize)]
pub struct Resumed {
    /// Where the messages lay.
    pub place: Place,
    pub clients: usize,
    /// Messages that all of them missed together.
    pub messages: usize,
    /// Bytes of the frames that a client got.
    pub bytes_each: Figure,
    /// Until the last was whole, in milliseconds.
    pub last_ms: Figure,
    /// How often clients were told to come again later, all together.
    pub turned_away: Figure,
    /// Until half of them were, and 99 of 100.
    pub p50_ms: Figure,
    pub p99_ms: Figure,
    /// The same messages from the bare parts, one client after the other.
    pub bare_ms: Figure,
    /// Microseconds of CPU of each role for a message.
    pub cpu_us_each: BTreeMap<String, Figure>,
    /// Of all roles, and of the bare parts.
    pub cpu_us_all: Figure,
    pub bare_cpu_us_all: Figure,
    /// Memory of each role when all were whole, the most of all times, in MiB.
    pub rss_mib: BTreeMap<String, f64>,
}

/// One time.
pub struct Bulk {
    pub seconds: f64,
    pub bare_seconds: f64,
    p50_s: f64,
    p99_s: f64,
    bytes_each: f64,
    turned_away: f64,
    cost: Cost,
    bare_cost: Cost,
}

impl Bulk {
    pub fn of(all: &[Back], cost: Cost, bare_seconds: f64, bare_cost: Cost) -> Self {
        let mut took: Vec<f64> = all.iter().map(|one| one.took.as_secs_f64()).collect();
        took.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
        let bytes: usize = all.iter().map(|one| one.bytes).sum();
        Self {
            seconds: took.last().copied().unwrap_or_default(),
            bare_seconds,
            p50_s: at(50).copied().unwrap_or_default(),
            p99_s: at(99).copied().unwrap_or_default(),
            bytes_each: float(bytes) / float(all.len().max(1)),
            turned_away: float(all.iter().map(|one| one.turned_away).sum()),
            cost,
            bare_cost,
        }
    }
}

impl Resumed {
    pub fn of(place: Place, who: &[Arc<Returning>], bulks: &[Bulk]) -> anyhow::Result<Self> {
        let messages: usize = who.iter().map(|one| one.missed).sum();
        let of = |value: &dyn Fn(&Bulk) -> f64| Figure::of(bulks.iter().map(value));
        let each = |seconds: f64| seconds * 1e6 / float(messages);
        let last = bulks.last().context("nothing was measured")?;
        let by_role =
            |role: &String| of(&|bulk| each(bulk.cost.cpu_s.get(role).copied().unwrap_or_default()));
        let most = |role: &String| {
            let all = bulks
                .iter()
                .filter_map(|bulk| bulk.cost.rss_mib.get(role).copied());
            all.fold(0.0, f64::max)
        };
        Ok(Self {
            place,
            clients: who.len(),
            messages,
            bytes_each: of(&|bulk| bulk.bytes_each),
            last_ms: of(&|bulk| bulk.seconds * 1e3),
            turned_away: of(&|bulk| bulk.turned_away),
            p50_ms: of(&|bulk| bulk.p50_s * 1e3),
            p99_ms: of(&|bulk| bulk.p99_s * 1e3),
            bare_ms: of(&|bulk| bulk.bare_seconds * 1e3),
            cpu_us_each: last
                .cost
                .cpu_s
                .keys()
                .map(|role| (role.clone(), by_role(role)))
                .collect(),
            cpu_us_all: of(&|bulk| each(bulk.cost.cpu_all_s())),
            bare_cpu_us_all: of(&|bulk| each(bulk.bare_cost.cpu_all_s())),
            rss_mib: last
                .cost
                .rss_mib
                .keys()
                .map(|role| (role.clone(), most(role)))
                .collect(),
        })
    }
}

impl Report for Result {
    fn about(&self) -> &About {
        &self.about
    }

    fn page(&self) -> Page {
        let mut times = Table::new([
            "clients",
            "messages",
            "from",
            "p50 ms",
            "p99 ms",
            "last whole, ms",
            "turned away",
            "bare, ms",
            "KB a client",
            "CPU µs a message",
            "bare µs",
        ]);
        let mut costs = Table::new(["clients", "from", "role", "CPU µs a message", "MiB"]);
        for one in &self.resumed {
            let from = match one.place {
                Place::Tail => "streams",
                Place::Postgres => "Postgres",
            };
            times.row(vec![
                one.clients.to_string(),
                one.messages.to_string(),
                from.to_owned(),
                number(one.p50_ms.median),
                number(one.p99_ms.median),
                one.last_ms.to_string(),
                number(one.turned_away.median),
                number(one.bare_ms.median),
                number(one.bytes_each.median / 1e3),
                number(one.cpu_us_all.median),
                number(one.bare_cpu_us_all.median),
            ]);
            for (role, cpu_us) in &one.cpu_us_each {
                let mib = one.rss_mib.get(role).copied().unwrap_or_default();
                costs.row(vec![
                    one.clients.to_string(),
                    from.to_owned(),
                    role.clone(),
                    number(cpu_us.median),
                    number(mib),
                ]);
            }
        }
        Page::default()
            .table("Until a client that comes back is whole, and the same messages from the bare parts, one client after the other:", times)
            .table("By role:", costs)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn float(count: usize) -> f64 {
    count as f64
}
