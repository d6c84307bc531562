//! The schema's life: made by several at once, refused when it is newer than the program.

mod common;

use std::time::{Duration, Instant};

use anyhow::ensure;
use common::World;
use natterjack_persister::{Args, db::look};
use natterjack_runtime::lifecycle::Tasks;

/// Well below what a server that is not there is waited for.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn several_persisters_may_start_on_an_empty_database() -> anyhow::Result<()> {
    let world = World::start().await?;
    let started = tokio::join!(world.persister(), world.persister(), world.persister());
    for persister in [started.0?, started.1?, started.2?] {
        persister.stop(common::PATIENCE).await?;
    }
    ensure!(
        world
            .count("select count(*) from refinery_schema_history")
            .await?
            >= 1
    );
    Ok(())
}

#[tokio::test]
async fn a_newer_schema_is_refused() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.persister().await?.stop(common::PATIENCE).await?;
    let sql = "insert into refinery_schema_history (version, name, applied_on, checksum) \
        select 999, 'future', applied_on, checksum from refinery_schema_history limit 1";
    world.sql(sql, &[]).await?;
    let error = world.persister().await.expect_err("it is newer").to_string();
    ensure!(
        error.contains("version 999") && error.contains("run the newer natterjack"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_schema_that_is_a_step_ahead_is_lived_with() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.persister().await?.stop(common::PATIENCE).await?;
    let sql = "insert into schema_steps (version, name, oldest) values (998, 'expand', 4)";
    world.sql(sql, &[]).await?;
    world.persister().await?.stop(common::PATIENCE).await?;
    let sql = "insert into schema_steps (version, name, oldest) values (999, 'contract', 998)";
    world.sql(sql, &[]).await?;
    let error = world.persister().await.expect_err("it is ruled out").to_string();
    ensure!(
        error.contains("version 999") && error.contains("at least 998"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_persister_starts_while_the_table_that_it_would_tune_is_vacuumed() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.persister().await?.stop(common::PATIENCE).await?;
    world.sql("delete from schema_steps", &[]).await?;
    // As a vacuum or an analysis of the table does, for hours if the table is large.
    let (mut holder, _connection) = world.connect().await?;
    let held = holder.transaction().await?;
    held.batch_execute("lock table messages in share update exclusive mode")
        .await?;
    let began = Instant::now();
    let persister = world.persister().await?;
    ensure!(began.elapsed() < AT_ONCE, "it waited");
    let untuned = "select count(*) from schema_steps where name = 'vacuum_messages_sooner'";
    ensure!(world.count(untuned).await? == 0);
    ensure!(world.count("select count(*) from schema_steps").await? > 0);
    held.rollback().await?;
    common::until("the table is tuned", || async {
        Ok(world.count(untuned).await? == 1)
    })
    .await?;
    persister.stop(common::PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_the_database_is_said_at_once() -> anyhow::Result<()> {
    let world = World::start().await?;
    let start = async |database_url: String| {
        let args = Args::new(world.nats.url(), database_url);
        let started = natterjack_persister::run(&args, &Tasks::new()).await;
        started.expect_err("it cannot start").to_string()
    };
    let error = start("nonsense".into()).await;
    ensure!(
        error.contains("postgres://user:password@host/database"),
        "{error}"
    );
    let missing = world.args.database_url.replace("/test_", "/missing_");
    let password = missing.split([':', '@']).nth(2).unwrap_or_default();
    let bare = missing.replace(&format!(":{password}@"), "@");
    ensure!(bare != missing, "the URL has a password");
    for (url, said) in [(&missing, "does not exist"), (&bare, "--database-password-file")] {
        let began = Instant::now();
        let error = start(url.clone()).await;
        ensure!(error.contains(said), "{error}");
        ensure!(!error.contains(password), "the password is in {error}");
        ensure!(began.elapsed() < AT_ONCE, "it waited");
        let looked = look::look(url).await.expect_err("it is not let in").to_string();
        ensure!(looked == error, "{looked}");
    }
    Ok(())
}

#[tokio::test]
async fn who_looks_is_told_what_the_server_says() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.persister().await?.stop(common::PATIENCE).await?;
    world.sql("drop table dead_letters", &[]).await?;
    let looked = look::look(&world.args.database_url).await;
    let error = looked.expect_err("a table is missing").to_string();
    ensure!(error.contains("\"dead_letters\" does not exist"), "{error}");
    Ok(())
}
