//! A window: what was done in a stretch of time, how long each took, and what it cost.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::{task::JoinSet, time::sleep};

use super::{
    cluster::Cluster,
    cost::{Cost, Meter},
    figure::{Figure, median},
    stage::{Stage, Tally},
};

/// One measurement, or the medians of several.
#[derive(Debug, Clone, Serialize)]
pub struct Window {
    /// What was done in that time.
    pub count: u64,
    /// What was done in a second.
    pub per_second: f64,
    /// How long each took.
    pub latency_ms: Latency,
    /// How long it counted, and what it cost each role.
    #[serde(flatten)]
    pub cost: Cost,
    /// Microseconds of CPU that each role used for one.
    pub cpu_us_each: BTreeMap<String, f64>,
    /// Stored messages that the persister had not written when it ended.
    pub unpersisted: u64,
    /// How far the repetitions were apart.
    pub spread: Spread,
}

/// The figures of the repetitions behind a [`Window`].
#[derive(Debug, Clone, Serialize)]
pub struct Spread {
    /// How many there were.
    pub repetitions: usize,
    /// Those that processes of others disturbed.
    pub disturbed: usize,
    /// What was done in a second.
    pub per_second: Figure,
    /// Percentiles of latency, in milliseconds.
    pub p50_ms: Figure,
    pub p99_ms: Figure,
    pub p999_ms: Figure,
    /// Microseconds of CPU for one, of all roles together.
    pub cpu_us_each: Figure,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What runs in a window: tasks that end soon after the stage is over, each with its tally.
pub type Workers = JoinSet<anyhow::Result<Tally>>;

/// Lets the workers run through the stages, and counts.
///
/// # Errors
/// A worker failed.
pub async fn measure(
    cluster: &Cluster,
    stage: &Stage,
    mut workers: Workers,
    warm_up: Duration,
    length: Duration,
) -> anyhow::Result<Window> {
    tokio::select! {
        () = sleep(warm_up) => {}
        failed = failure(&mut workers) => return Err(failed),
    }
    let meter = Meter::start(cluster);
    stage.measure();
    tokio::select! {
        () = sleep(length) => {}
        failed = failure(&mut workers) => return Err(failed),
    }
    stage.stop();
    let cost = meter.stop(cluster);
    let unpersisted = cluster.unpersisted().await?;
    let mut tally = Tally::new(stage)?;
    while let Some(worker) = workers.join_next().await {
        tally.add(&worker??)?;
    }
    Ok(Window::of(&tally, cost, unpersisted))
}

/// Ends when a worker does so too early.
async fn failure(workers: &mut Workers) -> anyhow::Error {
    match workers.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => error.into(),
        Some(Ok(Ok(_))) => anyhow::anyhow!("the load ended before its time"),
        None => std::future::pending().await,
    }
}

fn each_us(cpu_s: f64, count: u64) -> f64 {
    if count == 0 {
        0.0
    } else {
        cpu_s * 1_000.0 / thousandths(count)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn thousandths(count: u64) -> f64 {
    count as f64 / 1_000.0
}

impl Window {
    /// What was tallied in a stretch of time.
    #[must_use]
    pub fn of(tally: &Tally, cost: Cost, unpersisted: u64) -> Self {
        let count = tally.latencies_us.len();
        let percentile = |quantile: f64| thousandths(tally.latencies_us.value_at_quantile(quantile));
        let each = cost
            .cpu_s
            .iter()
            .map(|(role, cpu_s)| (role.clone(), each_us(*cpu_s, count)));
        let mut one = Self {
            count,
            per_second: thousandths(count) * 1_000.0 / cost.seconds,
            latency_ms: Latency {
                p50: percentile(0.5),
                p99: percentile(0.99),
                p999: percentile(0.999),
                max: thousandths(tally.latencies_us.max()),
            },
            cpu_us_each: each.collect(),
            cost,
            unpersisted,
            spread: Spread::of(&[]),
        };
        one.spread = Spread::of(std::slice::from_ref(&one));
        one
    }

    /// Microseconds of CPU for one, of all roles together.
    #[must_use]
    pub fn cpu_us_all(&self) -> f64 {
        self.cpu_us_each.values().sum()
    }

    /// The median of each figure by itself.
    #[must_use]
    pub fn median(windows: &[Self]) -> Option<Self> {
        let figure = |of: &dyn Fn(&Self) -> f64| median(windows.iter().map(of).collect());
        let by_role = |of: &dyn Fn(&Self) -> &BTreeMap<String, f64>| {
            let roles = windows.iter().flat_map(|window| of(window).keys());
            let of_role = |role: &String| figure(&|window| of(window).get(role).copied().unwrap_or_default());
            roles.map(|role| (role.clone(), of_role(role))).collect()
        };
        let whole = |of: &dyn Fn(&Self) -> u64| {
            let mut all: Vec<u64> = windows.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied()
        };
        let others: Vec<f64> = windows
            .iter()
            .filter_map(|window| window.cost.others_cores)
            .collect();
        Some(Self {
            count: whole(&|window| window.count)?,
            per_second: figure(&|window| window.per_second),
            latency_ms: Latency {
                p50: figure(&|window| window.latency_ms.p50),
                p99: figure(&|window| window.latency_ms.p99),
                p999: figure(&|window| window.latency_ms.p999),
                max: figure(&|window| window.latency_ms.max),
            },
            cost: Cost {
                seconds: figure(&|window| window.cost.seconds),
                cpu_s: by_role(&|window| &window.cost.cpu_s),
                rss_mib: by_role(&|window| &window.cost.rss_mib),
                others_cores: (!others.is_empty()).then(|| median(others)),
            },
            cpu_us_each: by_role(&|window| &window.cpu_us_each),
            unpersisted: whole(&|window| window.unpersisted)?,
            spread: Spread::of(windows),
        })
    }
}

impl Spread {
    fn of(windows: &[Window]) -> Self {
        let figure = |of: fn(&Window) -> f64| Figure::of(windows.iter().map(of));
        Self {
            repetitions: windows.len(),
            disturbed: windows.iter().filter(|window| window.cost.disturbed()).count(),
            per_second: figure(|window| window.per_second),
            p50_ms: figure(|window| window.latency_ms.p50),
            p99_ms: figure(|window| window.latency_ms.p99),
            p999_ms: figure(|window| window.latency_ms.p999),
            cpu_us_each: figure(Window::cpu_us_all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_with_what_was_around_them() -> anyhow::Result<()> {
        let stage = Stage::default();
        stage.measure();
        let window = |count: u32, cpu_s: f64| {
            let mut tally = Tally::new(&stage)?;
            (0..count).for_each(|_| tally.done(Duration::from_millis(u64::from(count))));
            let cost = Cost {
                seconds: 2.0,
                cpu_s: BTreeMap::from([("edge".to_owned(), cpu_s)]),
                ..Cost::default()
            };
            anyhow::Ok(Window::of(&tally, cost, 0))
        };
        let windows = [window(10, 0.001)?, window(40, 0.001)?, window(20, 0.001)?];
        let median = Window::median(&windows).expect("three");
        assert_eq!((median.count, median.spread.repetitions), (20, 3));
        let expected = Figure {
            median: 10.0,
            min: 5.0,
            max: 20.0,
        };
        assert_eq!(median.spread.per_second, expected);
        assert!((median.cpu_us_each["edge"] - 50.0).abs() < 1e-9);
        assert!((median.spread.cpu_us_each.max - 100.0).abs() < 1e-9);
        assert!(Window::median(&[]).is_none());
        Ok(())
    }
}
