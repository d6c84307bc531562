//! Steps on a real Postgres, with others in the way.

use std::time::{Duration, Instant};

use natterjack_runtime::servers::{Postgres, PostgresConfig, StderrProgress, Tools, testing_tools_dir};
use tokio_postgres::{Client, Config, NoTls};

use super::{STEPS, Step};
use crate::db::migrate;

const PATIENCE: Duration = Duration::from_secs(30);

/// A Postgres of its own, with the schema of this program.
struct Server {
    postgres: Postgres,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        let tools = Tools::locate_or_install(&testing_tools_dir(), &StderrProgress).await?;
        let dir = tempfile::tempdir()?;
        let postgres = Postgres::start(&tools, PostgresConfig::new(dir.path().join("postgres"))).await?;
        let server = Self { postgres, _dir: dir };
        migrate::migrate(&mut server.connect("setup").await?).await?;
        Ok(server)
    }

    async fn connect(&self, name: &str) -> anyhow::Result<Client> {
        let mut config: Config = self.postgres.url().parse()?;
        let (client, connection) = config.application_name(name).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// Waits until a query that answers a boolean answers `true`.
async fn until(client: &Client, sql: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        anyhow::ensure!(Instant::now() < deadline, "never true: {sql}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn an_index_is_made_while_another_process_waits_its_turn() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let steps = || {
        let mut steps = STEPS.to_vec();
        steps.push(Step {
            version: migrate::known() + 1,
            name: "made_up",
            oldest: 3,
            alone: true,
            sql: "drop index concurrently if exists made_up; create index concurrently made_up on users (name)",
        });
        steps
    };
    let watcher = server.connect("watcher").await?;
    let mut holder = server.connect("holder").await?;
    let held = holder.transaction().await?;
    held.batch_execute("lock table users in row exclusive mode")
        .await?;
    let run = |name: &'static str| {
        let client = server.connect(name);
        async move {
            let mut client = client.await?;
            Ok::<_, anyhow::Error>(migrate::migrate_to(&mut client, &steps()).await?)
        }
    };
    let (first, second, watched) = tokio::join!(
        run("first"),
        async {
            let waiting = "select exists (select from pg_locks join pg_stat_activity using (pid) \
                where not granted and application_name = 'first')";
            until(&watcher, waiting).await?;
            run("second").await
        },
        async {
            let waiting = "select exists (select from pg_stat_activity \
                where application_name = 'second' and query like '%advisory_lock%')";
            until(&watcher, waiting).await?;
            held.rollback().await?;
            anyhow::Ok(())
        }
    );
    watched?;
    first?;
    second?;
    let valid = "select indisvalid from pg_index where indexrelid = 'made_up'::regclass";
    until(&watcher, valid).await?;
    let taken = "select count(*) = 1 from schema_steps where name = 'made_up'";
    until(&watcher, taken).await?;
    server.postgres.stop().await;
    Ok(())
}
