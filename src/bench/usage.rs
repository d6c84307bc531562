//! CPU seconds and resident memory of processes, from `/proc`.

use std::{collections::BTreeMap, fs};

/// What `/proc` counts CPU time in: 100 a second for programs on every Linux, whatever the
/// kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a role has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Memory that is resident now.
    pub rss_mib: f64,
}

/// A role's process, with what it has used.
#[derive(Debug, Clone)]
pub struct RoleUsage {
    /// The role; several processes may have the same.
    pub role: String,
    /// The process.
    pub pid: u32,
    /// What it has used, its children included.
    pub usage: Usage,
}

/// Cores of this machine, as a number to reckon with.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1, usize::from) as f64
}

/// CPU seconds that the whole machine has spent for processes, and that its host took from it;
/// `None` where there is no `/proc`. Interrupts are left out: most of them are the loopback's,
/// which is our own.
#[must_use]
pub fn busy_s() -> Option<f64> {
    busy_ticks(&fs::read_to_string("/proc/stat").ok()?).map(seconds)
}

/// The fields of `/proc/stat` that matter here; see proc(5).
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user, nice, system, steal; the guests' time is counted in the first two already.
    Some(
        [0, 1, 2, 7]
            .into_iter()
            .filter_map(|index: usize| fields.get(index))
            .sum(),
    )
}

/// One process of `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Its own CPU time.
    own_ticks: u64,
    /// That of its children that have ended.
    ended_ticks: u64,
}

/// The machine's processes at one moment.
#[derive(Debug, Default)]
pub struct Snapshot(BTreeMap<u32, Process>);

impl Snapshot {
    /// Reads `/proc`; empty where there is none.
    #[must_use]
    pub fn take() -> Self {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Self::default();
        };
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // A process may end while we look.
        Self(
            pids.filter_map(|pid| {
                Some((
                    pid,
                    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
                ))
            })
            .collect(),
        )
    }

    /// A process with all its descendants, those that have ended included.
    #[must_use]
    pub fn of_tree(&self, root: u32) -> Usage {
        let mut tree = vec![root];
        let mut at = 0;
        while let Some(&parent) = tree.get(at) {
            tree.extend(
                self.0
                    .iter()
                    .filter(|(_, process)| process.parent == parent)
                    .map(|(pid, _)| *pid),
            );
            at += 1;
        }
        let ticks: u64 = tree
            .iter()
            .filter_map(|pid| self.0.get(pid))
            .map(|one| one.own_ticks + one.ended_ticks)
            .sum();
        Usage {
            cpu_s: seconds(ticks),
            rss_mib: resident_mib(&tree),
        }
    }

    /// A process without its descendants.
    #[must_use]
    pub fn of_one(&self, pid: u32) -> Usage {
        let ticks = self.0.get(&pid).map_or(0, |process| process.own_ticks);
        Usage {
            cpu_s: seconds(ticks),
            rss_mib: resident_mib(&[pid]),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a machine that runs for a million years does not fit"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// The fields of `/proc/<pid>/stat` that matter here; see proc(5).
fn parse(stat: &str) -> Option<Process> {
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(number(1)?).ok()?,
        own_ticks: number(11)? + number(12)?,
        ended_ticks: number(13)? + number(14)?,
    })
}

/// The resident memory of processes that share some of it: what each has alone, and once the most
/// that one of them shares. Backends of Postgres all map the same buffers.
fn resident_mib(pids: &[u32]) -> f64 {
    let (mut alone, mut shared) = (0.0, 0.0_f64);
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
                .unwrap_or_default()
        };
        alone += kib("RssAnon:");
        shared = shared.max(kib("RssFile:") + kib("RssShmem:"));
    }
    (alone + shared) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 8 9 20 0 1 0 100 1 2";
        assert_eq!(
            parse(stat),
            Some(Process {
                parent: 7,
                own_ticks: 110,
                ended_ticks: 17
            })
        );
        assert_eq!(parse("garbage"), None);
    }

    #[test]
    fn idling_and_interrupts_are_not_busy() {
        let stat = "cpu  100 20 3 9999 50 7 8 4000 60 70\ncpu0 1 2 3\n";
        assert_eq!(busy_ticks(stat), Some(4_123));
        assert_eq!(busy_ticks("intr 5"), None);
    }

    #[test]
    fn this_process_uses_something() {
        if cfg!(target_os = "linux") {
            let snapshot = Snapshot::take();
            assert!(snapshot.of_one(std::process::id()).rss_mib > 0.0);
            assert!(snapshot.of_tree(1).cpu_s >= snapshot.of_one(1).cpu_s);
        }
    }
}
