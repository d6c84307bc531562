//! `natterjack bench`: how fast it is, next to a baseline that is measured in the same run.
//!
//! Each benchmark stands on a [`cluster::Cluster`], drives it with a load in this process, and
//! takes [`window::Window`]s of it: what was done in a stretch of time, how long each took, and
//! what it cost each role in CPU and memory. Nothing is reported alone: beside every figure of
//! Natterjack stands that of the bare parts on the same machine a few seconds earlier.
//!
//! A benchmark is a module with `Args` (its options, serialised into the result as its settings,
//! with [`Measure`], or at least [`Output`], and [`cluster::ClusterArgs`] flattened into them), `Result` (a [`Report`]) and
//! `run(&Args, &dyn Progress) -> anyhow::Result<Result>`. What is no rate of something is measured
//! with a [`cost::Meter`] and a [`figure::Figure`] instead of a window.

mod bare;
mod cluster;
mod cost;
mod fanout;
mod figure;
mod fill;
mod gateway;
mod growth;
mod history;
mod hold;
mod idle;
mod ingest;
mod machine;
mod options;
mod pace;
mod page;
mod population;
mod presence;
mod push;
mod raw;
mod report;
mod resume;
mod ring;
mod send;
mod senders;
mod stage;
mod steps;
mod table;
mod usage;
mod window;

use natterjack_runtime::servers::StderrProgress;

use options::{Measure, Output};
use report::{Report, print};
use steps::Steps;

/// Options of `natterjack bench`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Durable sends: acks a second and their latency, next to raw JetStream publishing
    Send(send::Args),
    /// Deliveries a second and what each costs, next to a bare NATS subscriber with WebSockets
    Fanout(fanout::Args),
    /// What one costs as users, groups, conversations and edges grow
    Growth(growth::Args),
    /// What an idle connection costs, and a storm of all clients coming back at once
    Idle(idle::Args),
    /// Pages, lists and the ingest of a long history, next to the bare rows
    History(history::Args),
    /// Clients that come back after they missed something, next to the bare rows
    Resume(resume::Args),
    /// Who comes and goes, how soon it is told, and what it costs, next to bare KV writes
    Presence(presence::Args),
    /// Pushes a second, what each costs, and how soon it leaves, next to encrypting alone
    Push(push::Args),
    /// The bare WebSocket gateway of the fan-out's baseline
    #[command(hide = true)]
    Gateway(gateway::Args),
    /// A process full of idle clients
    #[command(hide = true)]
    Crowd(idle::crowd::Args),
}

/// Runs a benchmark, and prints its result on stdout.
///
/// # Errors
/// Whatever kept it from running to its end; a benchmark that failed prints no result.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let progress = &StderrProgress;
    match args.command {
        Command::Send(args) => show(&args.measure.output, send::run(&args, progress)).await,
        Command::Fanout(args) => show(&args.measure.output, fanout::run(&args, progress)).await,
        Command::Growth(args) => show(&args.output, growth::run(&args, progress)).await,
        Command::Idle(args) => show(&args.output, idle::run(&args, progress)).await,
        Command::History(args) => show(&args.measure.output, history::run(&args, progress)).await,
        Command::Resume(args) => show(&args.measure.output, resume::run(&args, progress)).await,
        Command::Presence(args) => show(&args.measure.output, presence::run(&args, progress)).await,
        Command::Push(args) => show(&args.measure.output, push::run(&args, progress)).await,
        Command::Gateway(args) => gateway::run(&args).await,
        Command::Crowd(args) => idle::crowd::run(&args).await,
    }
}

/// Runs it unless its figures would be worth nothing, and prints what came out.
async fn show<T: Report>(
    output: &Output,
    result: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<()> {
    output.check()?;
    print(&result.await?, output)
}
