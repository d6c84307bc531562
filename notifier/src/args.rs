//! The notifier's options.

use std::{net::SocketAddr, path::PathBuf};

use natterjack_nats::{cluster::NatsArgs, wire::PushPreview};

/// Options of the notifier.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where NATS is, and how to log in
    #[command(flatten)]
    pub nats: NatsArgs,

    /// Milliseconds that a device in the foreground has to confirm a message before the user's other
    /// devices are pushed, and once more before it is pushed itself
    #[arg(
        long,
        env = "NATTERJACK_PUSH_GRACE_MS",
        default_value_t = 5_000,
        value_parser = clap::value_parser!(u64).range(100..=60_000),
        value_name = "MS"
    )]
    pub grace_ms: u64,

    /// The most that a push says; a user may choose less: `full` (who and what), `sender` (who), `none`
    /// (that there is a message)
    #[arg(
        long,
        env = "NATTERJACK_PUSH_PREVIEW",
        default_value = "full",
        value_parser = preview,
        value_name = "PREVIEW"
    )]
    pub preview: PushPreview,

    /// Hours that a push is tried, by us and by push services, before it is given up. Messages that are
    /// older when the notifier sees them are not pushed
    #[arg(
        long,
        env = "NATTERJACK_PUSH_TTL_HOURS",
        default_value_t = 24,
        value_parser = clap::value_parser!(u64).range(1..=48),
        value_name = "HOURS"
    )]
    pub ttl_hours: u64,

    /// Whom push services write to if something is wrong with our pushes: `mailto:…` or `https://…`
    /// (RFC 8292). Some take nothing from a server that does not say
    #[arg(
        long,
        env = "NATTERJACK_PUSH_CONTACT",
        default_value = "mailto:operator@localhost",
        value_name = "URL"
    )]
    pub contact: String,

    /// The JSON file with the key of a Firebase service account; without it nothing is pushed through FCM
    #[arg(long, env = "NATTERJACK_FCM_CREDENTIALS", value_name = "FILE")]
    pub fcm_credentials: Option<PathBuf>,

    /// Where FCM is
    #[arg(
        long,
        env = "NATTERJACK_FCM_URL",
        default_value = "https://fcm.googleapis.com",
        value_name = "URL"
    )]
    pub fcm_url: String,

    /// Pushes that are on their way at once, of each kind of push service
    #[arg(
        long,
        env = "NATTERJACK_PUSHES_IN_FLIGHT_MAX",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..=1_024),
        value_name = "COUNT"
    )]
    pub in_flight_max: u16,

    /// Push to addresses that are private or without TLS too: for tests, never where strangers sign up
    #[arg(long, env = "NATTERJACK_PUSH_ANYWHERE", hide = true)]
    pub push_anywhere: bool,

    /// Where to serve /healthz, /readyz and /metrics; nowhere if not set
    #[arg(long, env = "NATTERJACK_NOTIFIER_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
}

fn preview(text: &str) -> Result<PushPreview, String> {
    serde_json::from_value(text.into()).map_err(|_| "one of full, sender and none".to_owned())
}

impl Args {
    /// The defaults, for this server; for those who start the notifier from code.
    #[must_use]
    pub fn new(nats: impl Into<NatsArgs>) -> Self {
        Self {
            nats: nats.into(),
            grace_ms: 5_000,
            preview: PushPreview::Full,
            ttl_hours: 24,
            contact: "mailto:operator@localhost".into(),
            fcm_credentials: None,
            fcm_url: "https://fcm.googleapis.com".into(),
            in_flight_max: 64,
            push_anywhere: false,
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
        let command = Args::augment_args(clap::Command::new("notifier"));
        let matches = command.get_matches_from(["notifier", "--nats-url", "n"]);
        let parsed = Args::from_arg_matches(&matches).expect("parses");
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Args::new("n")));
    }
}
