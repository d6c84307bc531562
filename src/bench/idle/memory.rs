//! What connections cost in memory: of processes, and of the kernel.

use std::{collections::BTreeMap, fs};

/// Bytes by role.
pub type Bytes = BTreeMap<String, f64>;

/// The memory that processes have for themselves, by role: neither files nor what they share.
/// Empty where there is no `/proc`.
pub fn anonymous(processes: &[(String, u32)]) -> Bytes {
    let mut all = Bytes::new();
    for (role, pid) in processes {
        if let Some(kib) = status_kib(*pid, "RssAnon:") {
            *all.entry(role.clone()).or_default() += kib * 1024.0;
        }
    }
    all
}

/// Bytes of socket buffers over all connections of this machine; `None` where the kernel does not
/// tell.
pub fn socket_buffers() -> Option<f64> {
    let sockstat = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "mem")?;
    let pages: f64 = words.next()?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// How many files a process may have open, as this one was told; `None` where it is not told.
pub fn open_files_max() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The page size of x86-64 and most others.
const PAGE_BYTES: f64 = 4_096.0;

fn status_kib(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The larger of two by role.
pub fn peak(mut one: Bytes, other: &Bytes) -> Bytes {
    for (role, bytes) in other {
        let entry = one.entry(role.clone()).or_default();
        *entry = entry.max(*bytes);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_limit() {
        if cfg!(target_os = "linux") {
            let of_us = anonymous(&[("us".into(), std::process::id())]);
            assert!(of_us["us"] > 100_000.0, "{of_us:?}");
            assert!(open_files_max().is_some_and(|max| max > 16));
            assert!(socket_buffers().is_some());
        }
        let peak = peak(
            Bytes::from([("a".into(), 1.0)]),
            &Bytes::from([("a".into(), 2.0)]),
        );
        assert!((peak["a"] - 2.0).abs() < f64::EPSILON);
    }
}
