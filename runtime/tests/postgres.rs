//! A real Postgres under the supervisor: made, killed, restarted, stopped, refused.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use natterjack_runtime::lifecycle::Tasks;
use natterjack_runtime::servers::{Postgres, PostgresConfig, ServerError, Tools};
use tokio::process::Command;

/// Runs SQL with psql, because only the persister links a Postgres client. It stands
/// beside the installed servers; distributions may keep it elsewhere on PATH.
async fn sql(tools: &Tools, url: &str, statement: &str) -> anyhow::Result<String> {
    let beside = tools.postgres_bin().join("psql");
    let psql = if beside.exists() {
        beside.as_path()
    } else {
        Path::new("psql")
    };
    let output = Command::new(psql)
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement])
        .output()
        .await
        .context("psql")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn committed_rows_survive_a_kill_a_stop_and_a_new_start() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    let config = PostgresConfig::new(dir.path().join("pg"));
    let server = Postgres::start(&tools, config.clone()).await?;
    let url = server.url();
    sql(
        &tools,
        &url,
        "create table kept (n int); insert into kept values (1)",
    )
    .await?;

    server.kill().await;
    server.restart().await?;
    ensure!(server.url() == url);
    ensure!(sql(&tools, &url, "select n from kept").await? == "1");
    ensure!(server.restart().await.is_err(), "it runs");

    server.stop().await;
    server.restart().await?;
    ensure!(sql(&tools, &url, "select n from kept").await? == "1");
    drop(server);

    let server = Postgres::start(&tools, config).await?;
    ensure!(sql(&tools, &server.url(), "select n from kept").await? == "1");
    ensure!(sql(&tools, &server.url_of("postgres"), "select 1").await? == "1");
    Ok(())
}

#[tokio::test]
async fn it_is_set_up_as_the_persister_needs_it_and_keeps_others_out() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    let mut config = PostgresConfig::new(dir.path().join("pg"));
    config.settings.push(("work_mem".to_owned(), "5MB".to_owned()));
    let server = Postgres::start(&tools, config).await?;
    let url = server.url();
    let show = async |name: &str| sql(&tools, &url, &format!("show {name}")).await;
    ensure!(show("server_encoding").await? == "UTF8");
    ensure!(show("fsync").await? == "on");
    ensure!(show("synchronous_commit").await? == "on");
    ensure!(show("listen_addresses").await? == "127.0.0.1");
    ensure!(show("unix_socket_directories").await?.is_empty());
    ensure!(show("work_mem").await? == "5MB");
    ensure!(sql(&tools, &url, "select upper('äé')").await? == "ÄÉ");

    let wrong = format!("postgres://postgres:wrong@127.0.0.1:{}/natterjack", server.port());
    let error = sql(&tools, &wrong, "select 1")
        .await
        .expect_err("a wrong password");
    ensure!(
        error.to_string().contains("password authentication failed"),
        "{error}"
    );
    let mode = fs::metadata(dir.path().join("pg/password"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    Ok(())
}

#[tokio::test]
async fn a_half_made_database_does_not_count() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    fs::create_dir_all(dir.path().join("data.new/base"))?;
    fs::write(dir.path().join("password"), "of the half made one")?;
    let server = Postgres::start(&tools, PostgresConfig::new(dir.path())).await?;
    ensure!(sql(&tools, &server.url(), "select 1").await? == "1");
    ensure!(!dir.path().join("data.new").exists());
    Ok(())
}

#[tokio::test]
async fn data_of_another_version_or_without_password_is_refused() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    fs::create_dir_all(dir.path().join("data"))?;
    fs::write(dir.path().join("data/PG_VERSION"), "15\n")?;
    let error = Postgres::start(&tools, PostgresConfig::new(dir.path()))
        .await
        .expect_err("15");
    ensure!(
        matches!(&error, ServerError::OtherVersion { found, .. } if found == "15"),
        "{error}"
    );
    ensure!(error.to_string().contains("needs Postgres 18"), "{error}");

    fs::write(dir.path().join("data/PG_VERSION"), "18\n")?;
    let error = Postgres::start(&tools, PostgresConfig::new(dir.path()))
        .await
        .expect_err("lost");
    ensure!(matches!(&error, ServerError::PasswordLost { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_reported_with_the_last_lines() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    let holder = TcpListener::bind(("127.0.0.1", 0))?;
    let mut config = PostgresConfig::new(dir.path());
    config.port = Some(holder.local_addr()?.port());
    let error = Postgres::start(&tools, config.clone())
        .await
        .expect_err("the port is taken");
    ensure!(error.to_string().contains("Address already in use"), "{error}");
    drop(holder);
    let server = Postgres::start(&tools, config.clone()).await?;
    ensure!(Some(server.port()) == config.port);
    Ok(())
}

#[tokio::test]
async fn a_supervised_server_fails_the_whole_when_it_dies_and_stops_with_it() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    let server = Postgres::start(&tools, PostgresConfig::new(dir.path())).await?;
    let tasks = Tasks::new();
    server.supervise(&tasks);
    server.kill().await;
    let error = format!("{:#}", tasks.failed().await);
    ensure!(
        error.starts_with("task postgres failed: postgres ended"),
        "{error}"
    );
    ensure!(
        error.contains("ready to accept connections"),
        "it lacks the last lines: {error}"
    );

    server.restart().await?;
    let tasks = Tasks::new();
    server.supervise(&tasks);
    tasks.stop(common::PATIENCE).await?;
    ensure!(!common::alive(server.pid()));
    ensure!(
        !dir.path().join("data/postmaster.pid").exists(),
        "it was not a clean stop"
    );
    Ok(())
}

#[tokio::test]
async fn a_restart_after_a_kill_does_not_wait_for_a_busy_backend_for_ever() -> anyhow::Result<()> {
    let tools = common::tools().await?;
    let dir = tempfile::tempdir()?;
    let server = Postgres::start(&tools, PostgresConfig::new(dir.path())).await?;
    let url = server.url();
    // It computes without ever looking whether the postmaster lives.
    let busy = sql(
        &tools,
        &url,
        "select count(*) from generate_series(1, 1000000000000)",
    );
    tokio::pin!(busy);
    let count = "select count(*) from pg_stat_activity where query like '%generate_series(1,%' and state = 'active' and pid <> pg_backend_pid()";
    let runs = async {
        while sql(&tools, &url, count).await? != "1" {}
        anyhow::Ok(())
    };
    tokio::select! {
        result = &mut busy => anyhow::bail!("it ended: {result:?}"),
        result = runs => result?,
    }
    server.kill().await;
    server.restart().await?;
    ensure!(busy.await.is_err(), "its connection survived");
    ensure!(sql(&tools, &url, "select 1").await? == "1");
    Ok(())
}
