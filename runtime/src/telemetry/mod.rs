//! Structured logs on stderr; stdout belongs to what a command prints for its user.
//!
//! What is logged can be changed while the process runs: see [`LogControl`]. Of the libraries below us
//! nothing finer than `info` is ever logged, whatever a filter says: at `debug` some print what they carry
//! (statements with their parameters, headers with their tokens).

mod control;

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
pub use control::{LogControl, LogError, LogNow};
use tracing::{Level, Metadata};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, filter, reload};

use crate::trace::Tracer;

/// Our own events; of those below us only what somebody should look at.
const DEFAULT_FILTER: &str = "info,async_nats=warn,refinery_core=warn";

/// What is logged and how; flatten it into a command's arguments.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log: a level, or directives such as `info,natterjack_edge=debug`
    #[arg(
        long = "log",
        env = "NATTERJACK_LOG",
        default_value = DEFAULT_FILTER,
        global = true,
        value_name = "FILTER"
    )]
    pub filter: String,

    /// How to log: lines for people, or one JSON object a line for machines
    #[arg(long = "log-format", env = "NATTERJACK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub format: LogFormat,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self {
            filter: DEFAULT_FILTER.to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the tracing subscriber of this process, in which its roles find `tracer`.
///
/// A second call leaves the first subscriber alone, because tests in one process
/// all call this. A filter that does not parse falls back to the default and says so:
/// a typing error in a log filter is no reason to keep a chat server down.
pub fn init(args: &LogArgs, tracer: &Tracer) {
    let (filter, complaint) = match EnvFilter::try_new(&args.filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    let configured = match &complaint {
        None => args.filter.as_str(),
        Some(_) => DEFAULT_FILTER,
    };
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter::filter_fn(is_ours_or_coarse))
        .with(LogControl::new(handle, configured))
        .with(tracer.clone());
    let installed = match args.format {
        LogFormat::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal()),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    if installed.is_ok()
        && let Some(error) = complaint
    {
        tracing::warn!(log.filter = %args.filter, %error, "the log filter does not parse; logging the default");
    }
}

/// Our own crates say with care what they log; of others only the coarse is safe.
fn is_ours_or_coarse(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("natterjack")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_init_and_a_bad_filter_do_not_panic() {
        init(&LogArgs::default(), &Tracer::off());
        let json = LogArgs {
            filter: "=,=".to_owned(),
            format: LogFormat::Json,
        };
        init(&json, &Tracer::off());
    }
}
