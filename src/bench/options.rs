//! What all benchmarks can be told: how long and how often is measured, how the result is shown.

use std::time::Duration;

use serde::Serialize;

/// How long and how often is measured, and how the result is shown.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Measure {
    /// How long each measurement runs before it counts
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    pub warm_up_ms: u64,
    /// How long each measurement counts
    #[arg(long, default_value_t = 4_000, value_name = "MS")]
    pub measure_ms: u64,
    /// How often each is measured, in turns; medians are reported, with the least and the most
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    pub repetitions: u32,
    #[command(flatten)]
    #[serde(skip)]
    pub output: Output,
}

/// How the result is shown, and whether there is one.
#[derive(Debug, Clone, clap::Args)]
pub struct Output {
    /// Run although this program was built without optimisation: the figures are worth nothing
    #[arg(long)]
    pub debug_build: bool,
    /// Print the result as JSON, for machines, instead of tables
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print the tables as Markdown, as in docs/performance.md
    #[arg(long)]
    pub markdown: bool,
}

impl Measure {
    /// The time before it counts.
    #[must_use]
    pub const fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    /// The time that counts.
    #[must_use]
    pub const fn length(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }
}

impl Output {
    /// Refuses a build whose figures are worth nothing, unless it was asked for.
    ///
    /// # Errors
    /// It is such a build.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.debug_build || !cfg!(debug_assertions),
            "this program was built without optimisation, so what it measured would be worth nothing; \
             build it with `cargo build --release` and run target/release/natterjack, or add \
             --debug-build to run it nevertheless"
        );
        Ok(())
    }
}
