//! What a process uses, from `/proc`; where there is none, the numbers stay 0.
//!
//! Roles that share a process, as in the plain run, say the same.

use std::{fs, sync::atomic::AtomicU64};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::Metrics;
use crate::clock::Clock;

/// What `/proc/self/stat` counts in: clock ticks, 100 a second on every Linux that we run on (`man 5 proc`,
/// `man 3 sysconf`: it is a constant of the system's interface to programs).
const TICKS_PER_SECOND: f64 = 100.0;

/// Has an entry for each open file.
const OPEN_FILES: &str = "/proc/self/fd";

/// Registers them.
pub(super) fn register(metrics: &Metrics) {
    let gauge = |name: &str, help: &str| metrics.register(name, help, Gauge::<i64>::default());
    let started = gauge(
        "process_start_time_seconds",
        "When the role was started, in Unix seconds",
    );
    started.set(i64::try_from(Clock::system().now_ms() / 1_000).unwrap_or_default());
    let memory = gauge("process_resident_memory_bytes", "Memory that the process has");
    let files = gauge(
        "process_open_files",
        "Files and sockets that the process has open",
    );
    let files_max = gauge("process_open_files_max", "How many of them the system allows it");
    let cpu = metrics.register(
        "process_cpu_seconds",
        "Time that the process has computed",
        Counter::<f64, AtomicU64>::default(),
    );
    metrics.before_encoding(move || {
        if let Some(bytes) = resident_bytes() {
            memory.set(bytes);
        }
        if let Some(count) = open_files() {
            files.set(count);
        }
        if let Some(count) = open_files_max() {
            files_max.set(count);
        }
        if let Some(seconds) = cpu_seconds() {
            cpu.inc_by((seconds - cpu.get()).max(0.0));
        }
    });
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

/// Linux since 6.2 says at once how many there are; before, each has to be listed, which takes as long as there are
/// many.
fn open_files() -> Option<i64> {
    let count = match fs::metadata(OPEN_FILES).ok()?.len() {
        0 => u64::try_from(fs::read_dir(OPEN_FILES).ok()?.count()).ok()?,
        count => count,
    };
    i64::try_from(count).ok()
}

fn open_files_max() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" is no number, and then there is nothing to watch.
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, which may hold anything but ends at the last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_those_that_are_listed() {
        let many: Vec<_> = (0..500)
            .map(|_| fs::File::open("/dev/null").expect("a file"))
            .collect();
        let (counted, listed) = (open_files().expect("a number"), fs::read_dir(OPEN_FILES));
        let listed = i64::try_from(listed.expect("a list").count()).expect("a number");
        assert!(counted >= 500, "{counted}");
        // Other tests of this process open and close some meanwhile.
        assert!((counted - listed).abs() < 250, "{counted} and {listed}");
        drop(many);
    }
}
