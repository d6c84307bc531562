//! What Postgres says of itself, for who looks after it: one connection, no migration, and nothing is
//! changed.

use std::{collections::BTreeMap, time::Duration};

use natterjack_runtime::clock::Clock;
use tokio_postgres::Client;

use super::{
    address::Address,
    connect::{self, ConnectError, Plans},
    error::detail,
    migrate,
};

/// To connect, and to ask.
const WITHIN: Duration = Duration::from_secs(8);
/// What promises rest on.
const SETTINGS: &[&str] = &["fsync", "full_page_writes", "synchronous_commit", "autovacuum"];

/// What it says.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its version, for people.
    pub version: String,
    /// Its version, as `server_version_num` says it.
    pub version_num: i32,
    /// The oldest that Natterjack runs on.
    pub version_num_min: i32,
    /// `fsync`, `full_page_writes`, `synchronous_commit` and `autovacuum`.
    pub settings: BTreeMap<String, String>,
    /// Connections that are open, from anybody.
    pub connections: i64,
    /// Connections that it takes, those for superusers left aside.
    pub connections_max: i64,
    /// The size of the database, in bytes.
    pub database_bytes: u64,
    /// Where its files are; only a superuser, or who may read all settings, is told.
    pub data_directory: Option<String>,
    /// How far its clock is ahead of this machine's, in milliseconds.
    pub ahead_ms: i64,
    /// The version of the schema; 0 if there is none.
    pub schema: i32,
    /// The newest version of the schema that this program knows.
    pub schema_known: i32,
    /// Messages that could not be written; absent without a schema.
    pub dead_letters: Option<i64>,
}

/// Why it could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It does not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It let us in, and did not answer.
    #[error("Postgres does not answer: {}", detail(.0))]
    Failed(#[from] tokio_postgres::Error),
    /// It took too long.
    #[error("Postgres did not answer within {} s", WITHIN.as_secs())]
    Slow,
}

/// Looks once, and does not wait for a server that is not there.
///
/// # Errors
/// [`LookError`].
pub async fn look(address: impl Into<Address>) -> Result<Facts, LookError> {
    tokio::time::timeout(WITHIN, looking(&address.into()))
        .await
        .map_err(|_| LookError::Slow)?
}

async fn looking(address: &Address) -> Result<Facts, LookError> {
    let (config, tls) = connect::config(address, Plans::Each)?;
    let client = connect::connect(&config, &tls).await?;
    let asked_ms = now_ms();
    let row = client
        .query_one(
            "select current_setting('server_version'), current_setting('server_version_num')::int, \
             (extract(epoch from clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await?;
    let between_ms = i64::midpoint(asked_ms, now_ms());
    let counts = client
        .query_one(
            "select (select count(*) from pg_stat_activity where backend_type = 'client backend'), \
             current_setting('max_connections')::bigint \
             - current_setting('superuser_reserved_connections')::bigint, \
             pg_database_size(current_database())",
            &[],
        )
        .await?;
    let schema = migrate::version(&client).await?;
    Ok(Facts {
        version: row.get(0),
        version_num: row.get(1),
        version_num_min: connect::SERVER_VERSION_MIN,
        settings: settings(&client).await?,
        connections: counts.get(0),
        connections_max: counts.get(1),
        database_bytes: counts.get::<_, i64>(2).try_into().unwrap_or_default(),
        data_directory: data_directory(&client).await?,
        ahead_ms: row.get::<_, i64>(2) - between_ms,
        schema,
        schema_known: migrate::known(),
        dead_letters: match schema {
            0 => None,
            _ => Some(
                client
                    .query_one("select count(*) from dead_letters", &[])
                    .await?
                    .get(0),
            ),
        },
    })
}

async fn settings(client: &Client) -> Result<BTreeMap<String, String>, tokio_postgres::Error> {
    let rows = client
        .query(
            "select name, setting from pg_settings where name = any($1)",
            &[&SETTINGS],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn data_directory(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    let found = client
        .query_opt(
            "select setting from pg_settings where name = 'data_directory'",
            &[],
        )
        .await?;
    Ok(found.map(|row| row.get(0)))
}

fn now_ms() -> i64 {
    i64::try_from(Clock::system().now_ms()).unwrap_or(i64::MAX)
}
