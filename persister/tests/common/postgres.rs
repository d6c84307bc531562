//! One Postgres for as many tests of a program as run at once, a database for each.
//!
//! The last test to end stops the server and removes its directory: a static would outlive
//! everything that could clean up after it.
//!
//! With `NATTERJACK_TEST_CITUS=DIR`, where DIR has the programs of a Postgres 18 with Citus, every database is
//! a distributed one: docs/decisions/distributed-history.md.

use std::path::PathBuf;
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use natterjack_persister::db::Db;
use natterjack_runtime::{
    metrics::Metrics,
    servers::{Postgres, PostgresConfig},
};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A server with a runtime of its own, because it outlives the test that starts it.
struct Server {
    // Fields drop in this order: the server needs its runtime and its directory to the end.
    postgres: Postgres,
    runtime: Option<Runtime>,
    _dir: tempfile::TempDir,
}

/// A database of one test.
pub struct Database {
    pub url: String,
    server: Arc<Server>,
}

impl Database {
    /// On the server of all tests.
    pub async fn shared() -> anyhow::Result<Self> {
        let server = tokio::task::spawn_blocking(|| {
            // Held while it starts, so that only one starts.
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(server) = shared.upgrade() {
                return anyhow::Ok(server);
            }
            let server = Arc::new(Server::start()?);
            *shared = Arc::downgrade(&server);
            Ok(server)
        })
        .await??;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (client, connection) =
            tokio_postgres::connect(&server.postgres.url_of("postgres"), NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&format!("create database {name}")).await?;
        let mut url = server.postgres.url_of(&name);
        if citus().is_some() {
            distribute(&url, server.postgres.port()).await?;
            // Where a statement goes is known with its parameters only.
            url.push_str("?options=-c%20plan_cache_mode%3Dforce_custom_plan");
        }
        Ok(Self { url, server })
    }

    /// On a server of its own.
    pub async fn alone() -> anyhow::Result<Self> {
        let server = tokio::task::spawn_blocking(Server::start).await??;
        Ok(Self {
            url: server.postgres.url(),
            server: Arc::new(server),
        })
    }

    pub fn server(&self) -> &Postgres {
        &self.server.postgres
    }
}

/// Where the programs of a Postgres with Citus are.
fn citus() -> Option<PathBuf> {
    std::env::var_os("NATTERJACK_TEST_CITUS").map(PathBuf::from)
}

/// Makes an empty database one whose history is distributed, over this one node.
async fn distribute(url: &str, port: u16) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("create extension citus").await?;
    let node = format!(
        "select citus_set_coordinator_host('127.0.0.1', {port}); \
         select citus_set_node_property('127.0.0.1', {port}, 'shouldhaveshards', true)"
    );
    client.batch_execute(&node).await?;
    // The node reaches itself as any other does, and Postgres wants a password of everybody.
    let config: tokio_postgres::Config = url.parse()?;
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default());
    let known = "insert into pg_dist_authinfo values (0, 'postgres', 'password=' || $1::text)";
    client.execute(known, &[&password.as_ref()]).await?;
    Db::open(url, 1, &Metrics::new("test")).await?;
    client
        .batch_execute(include_str!("../../distributed/citus.sql"))
        .await
        .context("the history cannot be distributed")
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let dir = tempfile::tempdir()?;
        let mut config = PostgresConfig::new(dir.path().join("postgres"));
        let postgres = runtime.block_on(async {
            let mut tools = super::tools().await?;
            if let Some(bin) = citus() {
                tools = tools.with_postgres_bin(bin);
                for (name, value) in [
                    ("shared_preload_libraries", "citus"),
                    // Else each shard of a statement is asked over a connection of its own.
                    ("citus.max_adaptive_executor_pool_size", "1"),
                    ("max_prepared_transactions", "200"),
                ] {
                    config.settings.push((name.into(), value.into()));
                }
                // The server asks itself, as the user of the statement.
                config.max_connections = 1_000;
            }
            Postgres::start(&tools, config)
                .await
                .context("Postgres for the tests")
        })?;
        Ok(Self {
            postgres,
            runtime: Some(runtime),
            _dir: dir,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime inside another one's task would panic.
            runtime.shutdown_background();
        }
    }
}
