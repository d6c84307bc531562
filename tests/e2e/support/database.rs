//! One Postgres for all tests that run at the same time, a database for each.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use natterjack::fleet::Scratch;
use natterjack_runtime::servers::{Postgres, PostgresConfig, SilentProgress, Tools, testing_tools_dir};
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

/// The Postgres, as long as a test holds it: a static handle would outlive the process's end.
static SHARED: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());

#[derive(Debug)]
struct Shared {
    postgres: Option<Postgres>,
    scratch: Option<Scratch>,
    made: AtomicU32,
}

/// A database of one's own, for as long as this lives.
#[derive(Debug)]
pub struct Database {
    shared: Arc<Shared>,
    name: String,
}

impl Database {
    pub async fn new() -> anyhow::Result<Self> {
        let shared = {
            let mut weak = SHARED.lock().await;
            match weak.upgrade() {
                Some(shared) => shared,
                None => {
                    let shared = Arc::new(Shared::start().await?);
                    *weak = Arc::downgrade(&shared);
                    shared
                }
            }
        };
        let name = format!("test_{}", shared.made.fetch_add(1, Ordering::Relaxed));
        let postgres = shared.postgres.as_ref().context("it runs until the drop")?;
        let (client, connection) = tokio_postgres::connect(&postgres.url(), NoTls).await?;
        let connection = tokio::spawn(connection);
        client.batch_execute(&format!("create database {name}")).await?;
        drop(client);
        connection.await??;
        Ok(Self { shared, name })
    }

    pub fn url(&self) -> String {
        self.shared
            .postgres
            .as_ref()
            .map(|postgres| postgres.url_of(&self.name))
            .unwrap_or_default()
    }
}

impl Shared {
    async fn start() -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
        // Nothing here survives a crash of the machine anyway.
        let off = ["fsync", "synchronous_commit", "full_page_writes"];
        let settings = off.map(|name| (name.to_owned(), "off".to_owned())).to_vec();
        let config = PostgresConfig {
            settings,
            ..PostgresConfig::new(scratch.path().join("postgres"))
        };
        let postgres = Postgres::start(&tools, config).await?;
        Ok(Self {
            postgres: Some(postgres),
            scratch: Some(scratch),
            made: AtomicU32::new(0),
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.postgres.take());
        let _ = self.scratch.take().map(Scratch::remove);
    }
}
