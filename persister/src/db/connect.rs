//! Reaching Postgres for the first time: its options, patience, and version.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, error::SqlState};

use super::{
    address::Address,
    error::{chain, detail},
    migrate::{self, MigrateError},
    steps::{self, Watch},
    tls::{self, Tls},
};

/// The oldest Postgres that Natterjack runs on, as `server_version_num` says it.
pub(super) const SERVER_VERSION_MIN: i32 = 160_000;
/// How long a server that is not there at start is waited for.
const START_GRACE: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(250);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Set on every connection. No statement of ours takes this long unless something is wrong. And a
/// plan that was made and kept while a table was nearly empty would read all of it once it is not:
/// planning each time costs about 0.1 ms. Nor may a bitmap scan gather all of a conversation of
/// millions, which the planner takes for an average one, to sort it and keep the first few: all
/// our indexes are in the order that is asked for.
const SESSION: &str = "-c statement_timeout=20s -c lock_timeout=15s -c idle_in_transaction_session_timeout=60s -c enable_bitmapscan=off";
const PLAN_EACH: &str = "-c plan_cache_mode=force_custom_plan";
/// To plan the statements with which a session opens takes longer than to run them. They are written so
/// that there is one way to run them, look-ups by key in a fixed order, and here nothing else may be
/// taken for cheaper while the tables are small.
const PLAN_ONCE: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_mergejoin=off -c enable_hashjoin=off -c enable_memoize=off -c jit=off";

/// When a statement is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans {
    /// Each time, for its parameters.
    Each,
    /// Once a connection.
    Once,
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL makes no sense.
    #[error("the database URL is not understood: {0}. It looks like postgres://user:password@host/database")]
    Url(String),
    /// The file with the password is of no use.
    #[error("the password of Postgres cannot be read from {}: {why}. See --database-password-file", path.display())]
    PasswordFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file with the CA is of no use.
    #[error("the CA of Postgres cannot be read from {}: {why}. --database-ca names a file in PEM", path.display())]
    Ca {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Two options say opposite things.
    #[error("sslmode=disable in the database URL and --database-ca contradict each other: leave one out")]
    PlainWithCa,
    /// TLS cannot be set up on our side.
    #[error("TLS to Postgres cannot be set up: {0}")]
    Tls(String),
    /// The server is there, and TLS with it fails.
    #[error("Postgres at {at} cannot be reached over TLS: {why}")]
    TlsRefused {
        /// Where, without the password.
        at: String,
        /// Why, and what to do.
        why: String,
    },
    /// No server was there in time.
    #[error("no Postgres answers at {at}: {why}. Start it, or set DATABASE_URL")]
    Away {
        /// Where, without the password.
        at: String,
        /// In the client's words.
        why: String,
    },
    /// The server is there and says no.
    #[error(
        "no connection to Postgres at {at}: {why}. Check the user, password and database in DATABASE_URL, and the \
         file that --database-password-file or DATABASE_PASSWORD_FILE names, if the URL has no password"
    )]
    Refused {
        /// Where, without the password.
        at: String,
        /// In the server's words.
        why: String,
    },
    /// The server is too old.
    #[error("Postgres at {at} is version {found}; Natterjack needs 16 or newer")]
    TooOld {
        /// Where, without the password.
        at: String,
        /// What runs there.
        found: String,
    },
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// The options of a connection, and how it is encrypted.
pub fn config(address: &Address, plans: Plans) -> Result<(Config, Tls), ConnectError> {
    let (mut config, tls) = address.resolve()?;
    let plans = match plans {
        Plans::Each => PLAN_EACH,
        Plans::Once => PLAN_ONCE,
    };
    let session = match config.get_options() {
        Some(options) => format!("{SESSION} {plans} {options}"),
        None => format!("{SESSION} {plans}"),
    };
    config
        .options(session)
        .application_name("natterjack-persister")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(Duration::from_secs(10))
        .keepalives_idle(Duration::from_secs(10));
    Ok((config, tls))
}

/// The pool, which connects when it is first used.
pub fn pool((config, tls): (Config, Tls), connections_max: u16) -> Result<Pool, ConnectError> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, tls, recycling))
        .max_size(connections_max.into())
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(CONNECT_TIMEOUT))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| ConnectError::Url(error.to_string()))
}

/// Waits for the server, checks its version and brings the schema up to date. What of that can wait is done by
/// the tasks that are answered, and no further once those are dropped.
pub async fn prepare(config: &Config, tls: &Tls) -> Result<JoinSet<()>, ConnectError> {
    let mut client = patiently(config, tls).await?;
    let row = client
        .query_one(
            "select current_setting('server_version_num')::int, current_setting('server_version')",
            &[],
        )
        .await
        .map_err(|error| ConnectError::Away {
            at: describe(config),
            why: detail(&error),
        })?;
    if row.get::<_, i32>(0) < SERVER_VERSION_MIN {
        return Err(ConnectError::TooOld {
            at: describe(config),
            found: row.get(1),
        });
    }
    let watch = Watch::new(config, tls);
    let left = migrate::migrate(&mut client, &watch).await?;
    let mut tasks = JoinSet::new();
    if !left.is_empty() {
        tasks.spawn(steps::later::take(watch, left));
    }
    Ok(tasks)
}

/// Connects, without patience.
pub(super) async fn connect(config: &Config, tls: &Tls) -> Result<Client, ConnectError> {
    let away = |why| ConnectError::Away {
        at: describe(config),
        why,
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, config.connect(tls.clone())).await {
        Ok(Ok((client, connection))) => {
            // It ends with the client, and its error is the client's.
            tokio::spawn(connection);
            Ok(client)
        }
        Ok(Err(error)) => Err(failure(config, &error)),
        Err(_) => Err(away("no answer".into())),
    }
}

/// Why a connection did not come about: [`ConnectError::Away`] if that may pass by itself.
fn failure(config: &Config, error: &tokio_postgres::Error) -> ConnectError {
    let at = describe(config);
    if let Some(why) = tls::refusal(error) {
        return ConnectError::TlsRefused { at, why };
    }
    let source = std::error::Error::source(error);
    let passing = match (error.code(), source) {
        (Some(state), _) => [SqlState::CANNOT_CONNECT_NOW, SqlState::TOO_MANY_CONNECTIONS].contains(state),
        // These kinds are said of what was asked for, or of an answer that makes no sense.
        (None, Some(source)) => source.downcast_ref::<io::Error>().is_some_and(|io| {
            let lasting = [
                io::ErrorKind::InvalidInput,
                io::ErrorKind::InvalidData,
                io::ErrorKind::Other,
            ];
            !lasting.contains(&io.kind())
        }),
        // It took too long, or was closed.
        (None, None) => true,
    };
    let why = match (error.as_db_error(), source) {
        (Some(db), _) => db.message().to_owned(),
        (None, Some(source)) => chain(source),
        (None, None) => error.to_string(),
    };
    if passing {
        ConnectError::Away { at, why }
    } else {
        ConnectError::Refused { at, why }
    }
}

async fn patiently(config: &Config, tls: &Tls) -> Result<Client, ConnectError> {
    let deadline = Instant::now() + START_GRACE;
    let mut told = false;
    loop {
        match connect(config, tls).await {
            Err(ConnectError::Away { at, why }) if Instant::now() < deadline => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        postgres.at = at,
                        error = why,
                        "Postgres is not there yet; waiting for it"
                    );
                }
            }
            done => return done,
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

fn describe(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .zip(config.get_ports().iter().chain(std::iter::repeat(&5432)))
        .map(|(host, port)| match host {
            tokio_postgres::config::Host::Tcp(name) => format!("{name}:{port}"),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    // An address is what is left without a name.
    let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
    let hosts: Vec<String> = if hosts.is_empty() {
        addresses.collect()
    } else {
        hosts
    };
    format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}
