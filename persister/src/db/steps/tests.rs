//! Steps on a real Postgres, with others in the way.

use std::time::{Duration, Instant};

use natterjack_runtime::servers::{Postgres, PostgresConfig, StderrProgress, Tools, testing_tools_dir};
use tokio_postgres::{Client, Config, NoTls};

use super::{STEPS, Step, Watch, Way, take};
use crate::db::{Address, migrate};

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
        migrate::migrate(&mut server.connect("setup").await?, &server.watch()?).await?;
        Ok(server)
    }

    fn watch(&self) -> anyhow::Result<Watch> {
        let (config, tls) = Address::from(self.postgres.url()).resolve()?;
        Ok(Watch::new(&config, &tls))
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
            way: Way::Alone,
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
        let (client, watch) = (server.connect(name), server.watch());
        async move {
            let (mut client, watch) = (client.await?, watch?);
            // At the first try.
            Ok::<_, anyhow::Error>(migrate::migrate_to(&mut client, &watch, &steps(), 1).await?)
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

#[tokio::test]
async fn a_step_gives_way_and_says_who_is_in_its_way() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let steps = [Step {
        version: migrate::known() + 1,
        name: "made_up",
        oldest: 3,
        way: Way::Together,
        sql: "alter table users add column shoe_size smallint",
    }];
    let (mut holder, mut client) = (server.connect("holder").await?, server.connect("client").await?);
    let (watcher, watch) = (server.connect("watcher").await?, server.watch()?);
    let held = holder.transaction().await?;
    held.batch_execute("lock table users in access share mode")
        .await?;
    let (taken, watched) = tokio::join!(take(&mut client, &watch, &steps, 3), async {
        // It is seen to wait, and then to have given way to those behind it.
        for waiting in [true, false] {
            let sql = format!(
                "select exists (select from pg_locks join pg_stat_activity using (pid) \
                where not granted and application_name = 'client') = {waiting}"
            );
            until(&watcher, &sql).await?;
        }
        anyhow::Ok(())
    });
    watched?;
    let error = taken.expect_err("it got no lock").to_string();
    anyhow::ensure!(
        error.contains("made_up") && error.contains("client backend, holder"),
        "{error}"
    );
    held.rollback().await?;
    take(&mut client, &watch, &steps, 1).await?;
    until(
        &watcher,
        "select count(*) = 1 from schema_steps where name = 'made_up'",
    )
    .await?;
    server.postgres.stop().await;
    Ok(())
}

#[tokio::test]
async fn tuning_reaches_the_partitions_of_a_table() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut client = server.connect("client").await?;
    let tuned = "select string_agg(c.relname, ' ' order by c.relname) = '{}' from pg_class c \
        where array_to_string(c.reloptions, ' ') like '%autovacuum_vacuum_insert_scale_factor=0.02%'";
    until(&client, &tuned.replace("{}", "messages")).await?;
    let partitioned = "alter table messages rename to whole; \
        create table messages (like whole) partition by hash (conversation); \
        create table part_0 partition of messages for values with (modulus 2, remainder 0); \
        create table part_1 partition of messages for values with (modulus 2, remainder 1); \
        delete from schema_steps";
    client.batch_execute(partitioned).await?;
    let left = migrate::migrate(&mut client, &server.watch()?).await?;
    anyhow::ensure!(left.is_empty(), "{left:?}");
    until(&client, &tuned.replace("{}", "part_0 part_1 whole")).await?;
    server.postgres.stop().await;
    Ok(())
}
