//! `natterjack bench`: how fast it is, next to a baseline that is measured in the same run.
//!
//! Each benchmark stands on a [`cluster::Cluster`], drives it with a load in this process, and
//! takes [`window::Window`]s of it: what was done in a stretch of time, how long each took, and
//! what it cost each role in CPU and memory. Nothing is reported alone: beside every figure of
//! Natterjack stands that of the bare parts on the same machine a few seconds earlier.

mod bare;
mod cluster;
mod fanout;
mod gateway;
mod machine;
mod pace;
mod population;
mod raw;
mod ring;
mod send;
mod senders;
mod stage;
mod table;
mod usage;
mod window;

use std::time::Duration;

use natterjack_runtime::servers::{Progress, StderrProgress};

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
    /// The bare WebSocket gateway of the fan-out's baseline
    #[command(hide = true)]
    Gateway(gateway::Args),
}

/// How long and how often is measured, and how the result is shown.
#[derive(Debug, Clone, clap::Args)]
struct Measure {
    /// How long each measurement runs before it counts
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    warm_up_ms: u64,
    /// How long each measurement counts
    #[arg(long, default_value_t = 4_000, value_name = "MS")]
    measure_ms: u64,
    /// How often each is measured, in turns; medians are reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    repetitions: u32,
    /// Print the result as JSON, for machines, instead of a table
    #[arg(long)]
    json: bool,
}

impl Measure {
    const fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    const fn length(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }
}

/// Runs a benchmark, and prints its result on stdout.
///
/// # Errors
/// Whatever kept it from running to its end; a benchmark that failed prints no result.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let progress = StderrProgress;
    let text = match args.command {
        Command::Send(args) => {
            let result = send::run(&args, &progress).await?;
            shown(args.measure.json, &result, send::Result::table)?
        }
        Command::Fanout(args) => {
            let result = fanout::run(&args, &progress).await?;
            shown(args.measure.json, &result, fanout::Result::table)?
        }
        Command::Gateway(args) => return gateway::run(&args).await,
    };
    println!("{text}");
    Ok(())
}

fn shown<T: serde::Serialize>(
    json: bool,
    result: &T,
    table: impl Fn(&T) -> String,
) -> anyhow::Result<String> {
    Ok(if json {
        serde_json::to_string_pretty(result)?
    } else {
        table(result)
    })
}

/// Tells how far a run is, one line a measurement.
struct Steps<'a> {
    progress: &'a dyn Progress,
    done: usize,
    all: usize,
}

impl<'a> Steps<'a> {
    fn new(progress: &'a dyn Progress, all: usize) -> Self {
        Self {
            progress,
            done: 0,
            all,
        }
    }

    fn say(&mut self, what: &str) {
        self.done += 1;
        self.progress
            .say(&format!("[{:>2}/{}] {what}", self.done, self.all));
    }
}
