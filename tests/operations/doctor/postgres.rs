//! Postgres: settings that lose what was committed, and a clock that is wrong.

use std::{ffi::OsString, path::Path};

use natterjack_runtime::{
    servers::{Postgres, PostgresConfig, SilentProgress, Tools, testing_tools_dir},
    skipped::{By, skip_test},
};

use super::patient::{Seen, doctor};
use crate::programs::Kind;

/// Nobody listens there: what is not looked at is told once.
const NO_NATS: &[&str] = &["--nats-url", "nats://127.0.0.1:1"];

async fn look(settings: &[(&str, &str)], environment: Vec<(OsString, OsString)>) -> anyhow::Result<Seen> {
    let scratch = natterjack::fleet::Scratch::new()?;
    let tools = Tools::locate_or_install(&testing_tools_dir(), &SilentProgress).await?;
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let config = PostgresConfig {
        settings: settings.iter().map(own).collect(),
        environment,
        ..PostgresConfig::new(scratch.path().join("postgres"))
    };
    let postgres = Postgres::start(&tools, config).await?;
    let seen = doctor(&[NO_NATS, &["--database-url", &postgres.url()]].concat()).await;
    postgres.stop().await;
    drop(postgres);
    scratch.remove()?;
    seen
}

#[tokio::test]
async fn settings_that_lose_commits_are_found() -> anyhow::Result<()> {
    let seen = look(&[("fsync", "off"), ("autovacuum", "off")], Vec::new()).await?;
    let words = seen.words("postgres.settings");
    assert!(
        words.contains("fsync: is off") && words.contains("autovacuum: is off"),
        "{words}"
    );
    assert!(!words.contains("synchronous_commit"), "{words}");
    // An empty database is said to be one, and stays one.
    assert!(seen.words("postgres.schema").contains("start a persister"));
    assert!(seen.words("nats.reached").contains("no NATS server answers"));
    assert_eq!(seen.code, Some(1));
    Ok(())
}

/// Where Debian puts it.
const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

#[tokio::test]
async fn a_clock_that_is_wrong_is_found() -> anyhow::Result<()> {
    let program = Kind {
        name: "libfaketime",
        programs: &["faketime"],
        package: "faketime",
    };
    if program.locate().await?.is_none() {
        return Ok(());
    }
    let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
        skip_test(
            By::Apt,
            &format!("a wrong clock needs libfaketime at one of {FAKETIME:?}"),
        )?;
        return Ok(());
    };
    let environment = [
        ("LD_PRELOAD", *library),
        ("FAKETIME", "+7s"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let seen = look(&[], environment.to_vec()).await?;
    let words = seen.words("clocks");
    assert!(
        words.starts_with("Postgres: its clock is ") && words.contains("ahead of"),
        "{words}"
    );
    assert!(words.contains("chrony"), "{words}");
    assert!(seen.words("postgres.settings").is_empty());
    Ok(())
}
