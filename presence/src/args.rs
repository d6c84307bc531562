//! Presence's options.

use std::net::SocketAddr;

use natterjack_nats::cluster::NatsArgs;

/// Options of presence.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where NATS is, and how to log in
    #[command(flatten)]
    pub nats: NatsArgs,

    /// Milliseconds that somebody stays online, or away, after they left: who is back by then never
    /// went. All presence processes must have the same
    #[arg(
        long,
        env = "NATTERJACK_PRESENCE_GRACE_MS",
        default_value_t = 3_000,
        value_parser = clap::value_parser!(u64).range(250..=60_000),
        value_name = "MS"
    )]
    pub grace_ms: u64,

    /// Where to serve /healthz, /readyz and /metrics; nowhere if not set
    #[arg(long, env = "NATTERJACK_PRESENCE_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
}

impl Args {
    /// The defaults, for this server; for those who start presence from code.
    #[must_use]
    pub fn new(nats: impl Into<NatsArgs>) -> Self {
        Self {
            nats: nats.into(),
            grace_ms: 3_000,
            admin_listen: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn the_defaults_in_code_are_those_of_the_command_line() {
        let command = Args::augment_args(clap::Command::new("presence"));
        let matches = command.get_matches_from(["presence", "--nats-url", "n"]);
        let parsed = Args::from_arg_matches(&matches).expect("parses");
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Args::new("n")));
    }
}
