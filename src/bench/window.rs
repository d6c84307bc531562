//! A window: what was done in a stretch of time, how long each took, and what it cost.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    cluster::Cluster,
    stage::{Stage, Tally},
};

/// One measurement, or the medians of several.
#[derive(Debug, Clone, Serialize)]
pub struct Window {
    /// How long it counted.
    pub seconds: f64,
    /// What was done in that time.
    pub count: u64,
    /// What was done in a second.
    pub per_second: f64,
    /// How long each took.
    pub latency_ms: Latency,
    /// CPU seconds that each role used meanwhile.
    pub cpu_s: BTreeMap<String, f64>,
    /// Microseconds of CPU that each role used for one.
    pub cpu_us_each: BTreeMap<String, f64>,
    /// Resident memory of each role at the end, in MiB.
    pub rss_mib: BTreeMap<String, f64>,
    /// Stored messages that the persister had not written when it ended.
    pub unpersisted: u64,
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
    let (before, started) = (cluster.usage(), Instant::now());
    stage.measure();
    tokio::select! {
        () = sleep(length) => {}
        failed = failure(&mut workers) => return Err(failed),
    }
    stage.stop();
    let (seconds, after) = (started.elapsed().as_secs_f64(), cluster.usage());
    let unpersisted = cluster.unpersisted().await?;
    let mut tally = Tally::new(stage)?;
    while let Some(worker) = workers.join_next().await {
        tally.add(&worker??)?;
    }
    let count = tally.latencies_us.len();
    let percentile = |quantile: f64| thousandths(tally.latencies_us.value_at_quantile(quantile));
    let used = |role: &String| {
        before
            .get(role)
            .map_or(0.0, |before| after[role].cpu_s - before.cpu_s)
    };
    let cpu_s: BTreeMap<_, _> = after.keys().map(|role| (role.clone(), used(role))).collect();
    Ok(Window {
        seconds,
        count,
        per_second: thousandths(count) * 1_000.0 / seconds,
        latency_ms: Latency {
            p50: percentile(0.5),
            p99: percentile(0.99),
            p999: percentile(0.999),
            max: thousandths(tally.latencies_us.max()),
        },
        cpu_us_each: cpu_s
            .iter()
            .map(|(role, cpu_s)| (role.clone(), each_us(*cpu_s, count)))
            .collect(),
        cpu_s,
        rss_mib: after
            .iter()
            .map(|(role, usage)| (role.clone(), usage.rss_mib))
            .collect(),
        unpersisted,
    })
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
    /// CPU seconds of all roles together.
    pub fn cpu_all_s(&self) -> f64 {
        self.cpu_s.values().sum()
    }

    /// The median of each figure by itself.
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
        Some(Self {
            seconds: figure(&|window| window.seconds),
            count: whole(&|window| window.count)?,
            per_second: figure(&|window| window.per_second),
            latency_ms: Latency {
                p50: figure(&|window| window.latency_ms.p50),
                p99: figure(&|window| window.latency_ms.p99),
                p999: figure(&|window| window.latency_ms.p999),
                max: figure(&|window| window.latency_ms.max),
            },
            cpu_s: by_role(&|window| &window.cpu_s),
            cpu_us_each: by_role(&|window| &window.cpu_us_each),
            rss_mib: by_role(&|window| &window.rss_mib),
            unpersisted: whole(&|window| window.unpersisted)?,
        })
    }
}

/// The middle one; of an even number the upper middle. 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one() {
        for (values, expected) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 5.0], 5.0)] {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
    }
}
