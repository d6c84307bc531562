//! The real `nats` command line: the one on PATH if it is new enough, else installed with Go, once a machine.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use natterjack_runtime::{
    servers::testing_tools_dir,
    skipped::{By, skip_test},
};
use tokio::process::Command;

/// What is installed, and the oldest that will do.
const VERSION: (u32, u32, u32) = (0, 5, 1);
/// Building it downloads and compiles some hundred packages.
const INSTALL_GRACE: Duration = Duration::from_secs(600);
/// Longer than any command of an operator takes, unless it hangs.
const COMMAND_GRACE: Duration = Duration::from_secs(60);

/// The command line, and how it reaches the servers.
#[derive(Debug, Clone)]
pub struct NatsCli {
    program: PathBuf,
    /// Words before every command, as `--server`.
    reach: Vec<String>,
    /// Where its contexts are.
    config: PathBuf,
}

impl NatsCli {
    /// Finds or installs it. `None`, and a word on stderr, where it cannot be had.
    ///
    /// # Errors
    /// It cannot be had, and the machine was said to have all that Go builds.
    pub async fn find(scratch: &Path, reach: &[&str]) -> anyhow::Result<Option<Self>> {
        let program = match locate_or_install().await? {
            Ok(program) => program,
            Err(missing) => {
                let (major, minor, patch) = VERSION;
                skip_test(
                    By::Go,
                    &format!(
                        "what the nats command line shows is not tested: none of {major}.{minor}.{patch} or newer is \
                         on PATH, and {missing}. Install Go, or the command line from \
                         https://github.com/nats-io/natscli, and run this test again"
                    ),
                )?;
                return Ok(None);
            }
        };
        Ok(Some(Self {
            program,
            reach: reach.iter().map(ToString::to_string).collect(),
            config: scratch.join("cli"),
        }))
    }

    /// The command line itself.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it and answers what it printed.
    ///
    /// # Errors
    /// It failed or took too long: the message has what it said.
    pub async fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let said = Command::new(&self.program)
            .args(&self.reach)
            .args(words)
            .env("XDG_CONFIG_HOME", &self.config)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let said = tokio::time::timeout(COMMAND_GRACE, said)
            .await
            .with_context(|| format!("nats {words:?} hangs"))??;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
        ensure!(said.status.success(), "nats {words:?}: {}\n{text}", said.status);
        Ok(text)
    }

    /// The same for a command that prints JSON.
    ///
    /// # Errors
    /// As [`NatsCli::run`], or it is no JSON.
    pub async fn json(&self, words: &[&str]) -> anyhow::Result<serde_json::Value> {
        let text = self.run(words).await?;
        serde_json::from_str(&text).with_context(|| format!("nats {words:?}: {text}"))
    }
}

/// Where it is, or why it cannot be had.
async fn locate_or_install() -> anyhow::Result<Result<PathBuf, String>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for dir in std::env::split_paths(&path) {
        let program = dir.join("nats");
        if version(&program).await.is_some_and(|found| found >= VERSION) {
            return Ok(Ok(program));
        }
    }
    let (major, minor, patch) = VERSION;
    let tools = testing_tools_dir();
    fs::create_dir_all(&tools)?;
    let home = tools.join(format!("nats-cli-{major}.{minor}.{patch}"));
    let program = home.join("nats");
    // One of several tests that start at once builds it; the others wait.
    let lock = File::create(tools.join("nats-cli.lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    let there = install(&home).await?;
    drop(lock);
    Ok(there.map(|()| program))
}

/// Builds it unless it is there. What fails of that is the machine's: no Go or too old a one, or no network.
async fn install(home: &Path) -> anyhow::Result<Result<(), String>> {
    if version(&home.join("nats")).await.is_some() {
        return Ok(Ok(()));
    }
    let (major, minor, patch) = VERSION;
    let parent = home.parent().context("a directory")?;
    let temp = tempfile::Builder::new().prefix(".nats-cli-").tempdir_in(parent)?;
    eprintln!("building the nats command line {major}.{minor}.{patch} with Go: a minute or two, once");
    let building = Command::new("go")
        .args([
            "install",
            &format!("github.com/nats-io/natscli/nats@v{major}.{minor}.{patch}"),
        ])
        .env("GOBIN", temp.path())
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=mod")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let built = match tokio::time::timeout(INSTALL_GRACE, building).await {
        Ok(Ok(built)) => built,
        Ok(Err(error)) => return Ok(Err(format!("go cannot be started: {error}"))),
        Err(_) => {
            let seconds = INSTALL_GRACE.as_secs();
            return Ok(Err(format!("go has not built it within {seconds} s")));
        }
    };
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Ok(Err(format!(
            "go could not build it ({}): {}",
            built.status,
            said.trim()
        )));
    }
    fs::create_dir_all(home)?;
    fs::rename(temp.path().join("nats"), home.join("nats"))?;
    Ok(Ok(()))
}

/// `v0.5.1`, `0.5.1`; a development build says something else and is left alone.
async fn version(program: &Path) -> Option<(u32, u32, u32)> {
    if !program.is_file() {
        return None;
    }
    let said = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    let said = tokio::time::timeout(Duration::from_secs(10), said)
        .await
        .ok()?
        .ok()?;
    let text = String::from_utf8_lossy(&said.stdout);
    let mut parts = text.trim().trim_start_matches('v').split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}
