//! What a result was measured on and with: without it a figure says nothing.

use serde::Serialize;

/// Machine and build.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// This program's version.
    pub natterjack: &'static str,
    /// Whether it was built with optimisation; without, the figures are worth nothing.
    pub optimised: bool,
    /// Cores that the load, the roles and the servers share.
    pub cores: usize,
    /// Processor, as the kernel names it.
    pub processor: String,
    /// Operating system and architecture.
    pub system: String,
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
        Self {
            natterjack: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
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
