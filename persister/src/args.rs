//! The persister's options.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::db::Address;

use natterjack_nats::cluster::NatsArgs;

/// Options of the persister.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where NATS is, and how to log in
    #[command(flatten)]
    pub nats: NatsArgs,

    /// The Postgres database, postgres://user:password@host/database; with ?sslmode=disable, prefer (the
    /// default: encrypted if the server can), require (encrypted, with whomever), verify-ca or verify-full
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: String,

    /// How to be let in, and how often
    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Most messages written to Postgres in one transaction
    #[arg(
        long,
        env = "NATTERJACK_INGEST_BATCH_MAX",
        default_value_t = 500,
        value_parser = clap::value_parser!(u16).range(1..=2_000),
        value_name = "COUNT"
    )]
    pub ingest_batch_max: u16,

    /// Bytes after which a batch is written
    #[arg(
        long,
        env = "NATTERJACK_INGEST_BYTES_MAX",
        default_value_t = 1_048_576,
        value_name = "BYTES"
    )]
    pub ingest_bytes_max: usize,

    /// Milliseconds for which messages are gathered before the next batch, unless it is full
    #[arg(
        long,
        env = "NATTERJACK_INGEST_AGE_MS",
        default_value_t = 200,
        value_name = "MS"
    )]
    pub ingest_age_ms: u64,

    /// Hours that messages stay in their stream after they are in Postgres
    #[arg(
        long,
        env = "NATTERJACK_TAIL_WINDOW_HOURS",
        default_value_t = 72,
        value_name = "HOURS"
    )]
    pub tail_window_hours: u32,

    /// Most members of a group, up to 1,500: the list of a group's members is one message, and NATS
    /// takes none beyond its max_payload of 1 MiB
    #[arg(
        long,
        env = "NATTERJACK_GROUP_MEMBERS_MAX",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_500),
        value_name = "COUNT"
    )]
    pub group_members_max: u32,

    /// Minutes that an access token lives
    #[arg(
        long,
        env = "NATTERJACK_ACCESS_TOKEN_MINUTES",
        default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(1..=30),
        value_name = "MINUTES"
    )]
    pub access_token_minutes: u32,

    /// Memory that hashing one password takes, in KiB (argon2id; RFC 9106)
    #[arg(
        long,
        env = "NATTERJACK_ARGON2_MEMORY_KIB",
        default_value_t = 19_456,
        value_parser = clap::value_parser!(u32).range(8..=1_048_576),
        value_name = "KIB"
    )]
    pub argon2_memory_kib: u32,

    /// Passes over that memory
    #[arg(
        long,
        env = "NATTERJACK_ARGON2_PASSES",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=100),
        value_name = "COUNT"
    )]
    pub argon2_passes: u32,

    /// Where to serve /healthz, /readyz and /metrics; nowhere if not set
    #[arg(long, env = "NATTERJACK_PERSISTER_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
}

/// How to be let in by Postgres, and how often: the same options for the persister and for those who look at what
/// it has. The URL is not among them, since not all of them need one.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct DatabaseArgs {
    /// A file with the password, for a URL without one
    #[arg(
        id = "database_password_file",
        long = "database-password-file",
        env = "DATABASE_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub password_file: Option<PathBuf>,

    /// The CA (PEM) that must have signed the certificate of Postgres, which must name the URL's host unless
    /// sslmode is verify-ca [default: with verify-…, the CAs that this machine trusts]
    #[arg(
        id = "database_ca",
        long = "database-ca",
        env = "DATABASE_CA",
        value_name = "FILE"
    )]
    pub ca: Option<PathBuf>,

    /// Most connections that one persister makes to Postgres; a third of them open sessions and read pages
    #[arg(
        id = "database_connections_max",
        long = "database-connections-max",
        env = "NATTERJACK_DATABASE_CONNECTIONS_MAX",
        default_value_t = 24,
        value_parser = clap::value_parser!(u16).range(4..=1_000),
        value_name = "COUNT"
    )]
    pub connections_max: u16,
}

impl Default for DatabaseArgs {
    fn default() -> Self {
        Self {
            password_file: None,
            ca: None,
            connections_max: 24,
        }
    }
}

impl DatabaseArgs {
    /// The database of this URL, and what is needed to be let in.
    #[must_use]
    pub fn address(&self, url: impl Into<String>) -> Address {
        Address {
            url: url.into(),
            password_file: self.password_file.clone(),
            ca: self.ca.clone(),
        }
    }
}

impl Args {
    /// The defaults, for these servers; for those who start the persister from code.
    #[must_use]
    pub fn new(nats: impl Into<NatsArgs>, database_url: impl Into<String>) -> Self {
        Self {
            nats: nats.into(),
            database_url: database_url.into(),
            database: DatabaseArgs::default(),
            ingest_batch_max: 500,
            ingest_bytes_max: 1_048_576,
            ingest_age_ms: 200,
            tail_window_hours: 72,
            group_members_max: 100,
            access_token_minutes: 15,
            argon2_memory_kib: 19_456,
            argon2_passes: 2,
            admin_listen: None,
        }
    }

    /// Where Postgres is, and what is needed to be let in.
    #[must_use]
    pub fn database(&self) -> Address {
        self.database.address(&self.database_url)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn a_group_is_no_larger_than_the_list_of_its_members_may_be() {
        let parse = |count: &str| {
            let command = Args::augment_args(clap::Command::new("persister"));
            let args = ["persister", "--database-url", "d", "--group-members-max", count];
            command.try_get_matches_from(args).is_ok()
        };
        assert!(parse("1500") && !parse("1501"));
    }

    #[test]
    fn the_defaults_in_code_are_those_of_the_command_line() {
        let command = Args::augment_args(clap::Command::new("persister"));
        let matches = command.get_matches_from(["persister", "--database-url", "d", "--nats-url", "n"]);
        let parsed = Args::from_arg_matches(&matches).expect("parses");
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Args::new("n", "d")));
    }
}
