//! What a result was measured on and with: without it a figure says nothing.

use std::path::Path;

use serde::Serialize;

/// Machine and build.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// This program's version.
    pub natterjack: &'static str,
    /// The commit that it was built from, with `-dirty` if files had been changed; if it is known.
    pub commit: Option<&'static str>,
    /// The compiler that built it.
    pub rustc: &'static str,
    /// How it was built.
    pub build: Build,
    /// Cores that the load, the roles and the servers share.
    pub cores: usize,
    /// Memory that they share, in MiB; 0 if it is not known.
    pub memory_mib: u64,
    /// Processor, as the kernel names it.
    pub processor: String,
    /// Operating system with its version, and architecture.
    pub system: String,
}

/// How this program was built.
#[derive(Debug, Clone, Serialize)]
pub struct Build {
    /// Whether with optimisation; without, the figures are worth nothing.
    pub optimised: bool,
    /// The profile's `opt-level`.
    pub opt_level: &'static str,
    /// The profile's `lto`, as Cargo.toml or the environment had it.
    pub lto: &'static str,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let meminfo = read("/proc/meminfo");
        let memory_kib = meminfo.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        Self {
            natterjack: env!("CARGO_PKG_VERSION"),
            commit: option_env!("NATTERJACK_BUILD_COMMIT"),
            rustc: env!("NATTERJACK_BUILD_RUSTC"),
            build: Build {
                optimised: !cfg!(debug_assertions),
                opt_level: env!("NATTERJACK_BUILD_OPT_LEVEL"),
                lto: env!("NATTERJACK_BUILD_LTO"),
            },
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_mib: memory_kib.unwrap_or_default() / 1_024,
            processor: model.map_or_else(|| "unknown".into(), |(_, name)| name.to_owned()),
            system: format!(
                "{} {} {}",
                std::env::consts::OS,
                read("/proc/sys/kernel/osrelease").trim(),
                std::env::consts::ARCH
            ),
        }
    }
}

/// The kind of file system on which a directory is, if the kernel tells.
#[must_use]
pub fn file_system(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    file_system_of(&dir, &mounts)
}

/// The deepest mount wins, and the last of those at one place; see proc(5).
fn file_system_of(dir: &Path, mounts: &str) -> Option<String> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split_whitespace().nth(4)?.to_owned();
        let kind = right.split_whitespace().next()?.to_owned();
        dir.starts_with(&point).then_some((point.len(), kind))
    };
    let under = mounts.lines().filter_map(mount);
    under.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      30 22 0:26 / /tmp rw master:2 - tmpfs tmpfs rw\n\
                      31 22 0:27 / /tmpfoo rw - xfs /dev/vdb rw\n";
        let of = |dir: &str| file_system_of(Path::new(dir), mounts);
        assert_eq!(of("/tmp/x/y").as_deref(), Some("tmpfs"));
        assert_eq!(of("/home").as_deref(), Some("ext4"));
        assert_eq!(of("/tmpfoo").as_deref(), Some("xfs"));
        assert_eq!(file_system_of(Path::new("/x"), "garbage"), None);
    }
}
