//! One Postgres for as many tests of a program as run at once, a database for each.
//!
//! The last test to end stops the server and removes its directory: a static would outlive
//! everything that could clean up after it.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use natterjack_runtime::servers::{Postgres, PostgresConfig};
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
        Ok(Self {
            url: server.postgres.url_of(&name),
            server,
        })
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

impl Server {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let dir = tempfile::tempdir()?;
        let config = PostgresConfig::new(dir.path().join("postgres"));
        let postgres = runtime.block_on(async {
            let tools = super::tools().await?;
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
