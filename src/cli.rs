//! The command line: one binary, a subcommand a role.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use natterjack_runtime::{
    LogArgs, telemetry,
    trace::{TraceArgs, Traces},
};

use crate::{bench, chat, doctor, provision, ready, role, torture, up};

/// A self-hosted chat backend: WebSocket edges, NATS JetStream, history in Postgres.
///
/// Without a subcommand it starts everything on this machine: nats-server and Postgres as its
/// children, and all roles.
#[derive(Debug, Parser)]
#[command(
    name = "natterjack",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    trace: TraceArgs,
    #[command(flatten)]
    up: up::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an edge: WebSocket, HTTP and long polling for clients
    Edge(Box<natterjack_edge::Args>),
    /// Run a persister: history into Postgres, accounts, conversations
    Persister(Box<natterjack_persister::Args>),
    /// Run presence: who is online, away or offline
    Presence(Box<natterjack_presence::Args>),
    /// Run a notifier: decides what is pushed to whom, and pushes it
    Notifier(Box<natterjack_notifier::Args>),
    /// Create what is missing in NATS, and report what differs
    Provision(provision::Args),
    /// Look at a whole cluster, and say how it stands and what to do; changes nothing
    Doctor(Box<doctor::Args>),
    /// Ask a role whether it is ready: the health check of an image without a shell
    Ready(ready::Args),
    /// Chat in this terminal
    Chat(Box<chat::Args>),
    /// Measure it, next to what the bare parts do on this machine
    Bench(Box<bench::Args>),
    /// Break it in every way that a seed draws, and check that it keeps its promises
    Torture(Box<torture::Args>),
}

/// Runs the command line; the exit code is that of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let service = service(cli.command.as_ref());
    let traces = match Traces::start(&cli.trace, service, runtime.handle()) {
        Ok(traces) => traces,
        Err(error) => return failed(&error.into()),
    };
    telemetry::init(&cli.log, traces.tracer());
    let result = runtime.block_on(run(cli));
    traces.stop();
    match result {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

/// What a process is called in traces.
const fn service(command: Option<&Command>) -> &'static str {
    match command {
        Some(Command::Edge(_)) => "natterjack-edge",
        Some(Command::Persister(_)) => "natterjack-persister",
        Some(Command::Presence(_)) => "natterjack-presence",
        Some(Command::Notifier(_)) => "natterjack-notifier",
        _ => "natterjack",
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => up::run(cli.up).await?,
        Some(Command::Edge(args)) => role::edge(&args).await?,
        Some(Command::Persister(args)) => role::persister(&args).await?,
        Some(Command::Presence(args)) => role::presence(&args).await?,
        Some(Command::Notifier(args)) => role::notifier(&args).await?,
        Some(Command::Provision(args)) => provision::run(&args).await?,
        Some(Command::Ready(args)) => ready::run(&args).await?,
        // What it found is its exit code.
        Some(Command::Doctor(args)) => return Ok(doctor::run(*args).await),
        Some(Command::Chat(args)) => chat::run(*args).await?,
        Some(Command::Bench(args)) => bench::run(*args).await?,
        Some(Command::Torture(args)) => torture::run(*args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One clear error on stderr, with its causes.
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("natterjack: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of ours in a page: lines that start with the program's name, in fences, after `$ ` or in
    /// markers, and what stands between backticks. Those with `…` stand for several.
    fn commands(page: &str) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        for line in page.lines() {
            let spans = line.split('`').skip(1).step_by(2);
            for text in [line].into_iter().chain(spans) {
                let text = text.trim_start_matches("<!-- ").trim_start_matches("$ ");
                let text = text
                    .trim_start_matches("./")
                    .trim_start_matches("target/release/");
                let text = text.split(['#', '`']).next().unwrap_or_default();
                let text = text.trim().trim_end_matches("-->").trim_end();
                if text.starts_with("natterjack ") && !text.contains('…') {
                    commands.push(words(text));
                }
            }
        }
        commands
    }

    /// Words as a shell makes them, with quotes and `<placeholders>`.
    fn words(text: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for letter in text.chars() {
            match (quote, letter) {
                (Some(open), _) if open == letter => quote = None,
                (None, '\'' | '"') => quote = Some(letter),
                (None, ' ') => words.push(String::new()),
                _ => words.last_mut().expect("one at least").push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_in_the_docs_is_understood() {
        for (page, at_least) in [
            (include_str!("../docs/performance.md"), 20),
            (include_str!("../docs/operations.md"), 10),
            (include_str!("../README.md"), 5),
            (include_str!("../nats/README.md"), 1),
        ] {
            let commands = commands(page);
            assert!(
                commands.len() >= at_least,
                "{} of {at_least}: {commands:?}",
                commands.len()
            );
            for words in commands {
                // What only mentions a command or an option leaves out what it needs.
                use clap::error::ErrorKind::{
                    DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand,
                };
                let incomplete = [
                    DisplayHelpOnMissingArgumentOrSubcommand,
                    MissingRequiredArgument,
                    MissingSubcommand,
                ];
                match Cli::try_parse_from(&words) {
                    Ok(_) => {}
                    Err(error) if incomplete.contains(&error.kind()) => {}
                    Err(error) if error.to_string().contains("a value is required") => {}
                    Err(error) => panic!("not understood: {}\n{error}", words.join(" ")),
                }
            }
        }
        let unknown = commands("`natterjack doctor --no-such-option`").remove(0);
        assert!(Cli::try_parse_from(&unknown).is_err());
    }
}
