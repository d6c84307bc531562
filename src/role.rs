//! A single role as a process of its own.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use natterjack_runtime::Tasks;

/// How long a role may drain after SIGTERM: less than the 10 s after which most service managers
/// kill. An edge has an option for it.
pub const DRAIN_GRACE: Duration = Duration::from_secs(8);

/// Runs an edge until a signal or a failure.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub async fn edge(args: &natterjack_edge::Args) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    let start = async { natterjack_edge::run(args, &tasks).await.map(drop) };
    tasks.run_until_signal(start, args.place.drain_grace()).await
}

/// Runs a persister until a signal or a failure.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub async fn persister(args: &natterjack_persister::Args) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks
        .run_until_signal(natterjack_persister::run(args, &tasks), DRAIN_GRACE)
        .await
}

/// Runs presence until a signal or a failure.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub async fn presence(args: &natterjack_presence::Args) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks
        .run_until_signal(natterjack_presence::run(args, &tasks), DRAIN_GRACE)
        .await
}

/// Runs a notifier until a signal or a failure.
///
/// # Errors
/// Whatever kept it from starting or ended it.
pub async fn notifier(args: &natterjack_notifier::Args) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks
        .run_until_signal(natterjack_notifier::run(args, &tasks), DRAIN_GRACE)
        .await
}

/// A role's arguments as the environment and the defaults give them, with some options set: how
/// the plain run, the benchmarks and the tests start roles.
///
/// # Errors
/// What the command line of the role would say.
pub fn args<T: Args>(options: &[(&str, &str)]) -> anyhow::Result<T> {
    let words = options.iter().flat_map(|(name, value)| [*name, *value]);
    let command = T::augment_args(clap::Command::new("natterjack"));
    let matches = command.try_get_matches_from(std::iter::once("natterjack").chain(words))?;
    T::from_arg_matches(&matches).context("a role's options")
}
