//! What a stretch of time cost: CPU and memory of each role, and how much others were at work.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    cluster::{Cluster, LOAD},
    usage::{self, RoleUsage},
};

/// Beyond this part of the machine, what other processes took is said to have disturbed.
const OTHERS_MAX: f64 = 0.05;
/// Beyond this part of all CPU, the load generator is said to be what was measured.
const LOAD_MAX: f64 = 0.5;

/// What a stretch of time cost.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cost {
    /// How long it was.
    pub seconds: f64,
    /// CPU seconds that each role used.
    pub cpu_s: BTreeMap<String, f64>,
    /// Resident memory of each role at the end, in MiB.
    pub rss_mib: BTreeMap<String, f64>,
    /// Cores that processes which are none of ours kept busy meanwhile; absent where that is not
    /// known, as with a cluster that was not started by this run.
    pub others_cores: Option<f64>,
}

impl Cost {
    /// CPU seconds of all roles together.
    #[must_use]
    pub fn cpu_all_s(&self) -> f64 {
        self.cpu_s.values().sum()
    }

    /// The load generator's part of all CPU.
    #[must_use]
    pub fn load_share(&self) -> f64 {
        let load = self.cpu_s.get(LOAD).copied().unwrap_or_default();
        if load > 0.0 { load / self.cpu_all_s() } else { 0.0 }
    }

    /// Whether others took so much that the figures say little.
    #[must_use]
    pub fn disturbed(&self) -> bool {
        self.others_cores
            .is_some_and(|others| others > OTHERS_MAX * usage::cores())
    }
}

/// Counts what it costs from now on.
#[derive(Debug)]
pub struct Meter {
    begun: Instant,
    roles: Vec<RoleUsage>,
    busy_s: Option<f64>,
}

impl Meter {
    /// From now on.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self {
            begun: Instant::now(),
            roles: cluster.usage(),
            busy_s: usage::busy_s(),
        }
    }

    /// What it cost until now. It is counted among the cluster's measurements: the result will
    /// tell how many of them others disturbed.
    ///
    /// A process that ended meanwhile is missing; one that began counts whole.
    #[must_use]
    pub fn stop(self, cluster: &Cluster) -> Cost {
        let (after, busy_s) = (cluster.usage(), usage::busy_s());
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut cost = Cost {
            seconds,
            ..Cost::default()
        };
        for RoleUsage { role, pid, usage } in after {
            let before = self.roles.iter().find(|one| one.pid == pid && one.role == role);
            let used_s = usage.cpu_s - before.map_or(0.0, |before| before.usage.cpu_s);
            *cost.cpu_s.entry(role.clone()).or_default() += used_s.max(0.0);
            *cost.rss_mib.entry(role).or_default() += usage.rss_mib;
        }
        if cluster.facts.own
            && let (Some(before), Some(after)) = (self.busy_s, busy_s)
        {
            // Ticks are coarse: nobody takes less than nothing.
            cost.others_cores = Some(((after - before - cost.cpu_all_s()) / seconds).max(0.0));
        }
        cluster.taken.note(&cost);
        cost
    }
}

/// All measurements of a run, and what is to be said of them.
#[derive(Debug, Default)]
pub struct Taken(Mutex<Quality>);

/// How far the measurements of a run can be trusted.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Quality {
    /// Measurements taken, repetitions included.
    pub measurements: u64,
    /// Those during which processes of others took more than 5 % of the machine.
    pub disturbed: u64,
    /// The most cores that others took in one of them.
    pub others_cores_max: f64,
    /// Those in which the load generator took more than half of all CPU.
    pub load_heavy: u64,
    /// The largest part of all CPU that it took in one of them.
    pub load_share_max: f64,
}

impl Taken {
    fn note(&self, cost: &Cost) {
        let mut quality = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        quality.measurements += 1;
        quality.disturbed += u64::from(cost.disturbed());
        quality.others_cores_max = quality
            .others_cores_max
            .max(cost.others_cores.unwrap_or_default());
        // With the load alone in sight, it is of course all of it.
        if cost.others_cores.is_some() {
            quality.load_heavy += u64::from(cost.load_share() > LOAD_MAX);
            quality.load_share_max = quality.load_share_max.max(cost.load_share());
        }
    }

    /// So far.
    #[must_use]
    pub fn quality(&self) -> Quality {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Quality {
    /// With those of another cluster.
    pub fn add(&mut self, other: &Self) {
        self.measurements += other.measurements;
        self.disturbed += other.disturbed;
        self.others_cores_max = self.others_cores_max.max(other.others_cores_max);
        self.load_heavy += other.load_heavy;
        self.load_share_max = self.load_share_max.max(other.load_share_max);
    }

    /// What a person should know before believing a figure.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Self {
            measurements: all,
            disturbed,
            others_cores_max: others,
            load_heavy,
            load_share_max: share,
        } = *self;
        let mut warnings = Vec::new();
        if disturbed > 0 {
            warnings.push(format!(
                "Disturbed: in {disturbed} of {all} measurements, other processes kept more than 5 % of this \
                 machine busy (up to {others:.2} cores). Run it again on a quiet machine."
            ));
        }
        if load_heavy > 0 {
            warnings.push(format!(
                "In {load_heavy} of {all} measurements the load generator took more than half of all CPU \
                 (up to {:.0} %): there, with a load from elsewhere the rest could do more.",
                share * 100.0
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(load_s: f64, others_cores: f64) -> Cost {
        Cost {
            seconds: 1.0,
            cpu_s: BTreeMap::from([(LOAD.to_owned(), load_s), ("edge".to_owned(), 1.0)]),
            others_cores: Some(others_cores),
            ..Cost::default()
        }
    }

    #[test]
    fn what_disturbs_is_said() {
        let taken = Taken::default();
        taken.note(&cost(0.5, 0.0));
        assert!(taken.quality().warnings().is_empty());
        taken.note(&cost(0.5, usage::cores()));
        assert!(taken.quality().warnings()[0].starts_with("Disturbed: in 1 of 2 measurements"));
        taken.note(&cost(3.0, 0.0));
        assert!(taken.quality().warnings()[1].contains("(up to 75 %)"));
    }
}
