//! One role as a process of its own.

use std::{ffi::OsString, net::TcpListener, path::Path, time::Duration};

use anyhow::{Context, bail};
use natterjack_runtime::servers::{Program, ProgramConfig};
use tokio::time::{Instant, sleep};

/// How long a role may take to get ready: the persister waits for Postgres's crash recovery.
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// A role that runs, or ran; it keeps its port over restarts.
#[derive(Debug, Clone)]
pub struct RoleProcess {
    program: Program,
    url: String,
    http: reqwest::Client,
}

impl RoleProcess {
    /// Starts `<binary> <role> <arguments> <listen> 127.0.0.1:<port>` and waits until its
    /// `/readyz` says so.
    ///
    /// # Errors
    /// It ended instead, or took too long: the message ends with its last log lines.
    pub async fn start(
        binary: &Path,
        role: &'static str,
        listen: &str,
        arguments: &[&str],
        dir: &Path,
    ) -> anyhow::Result<Self> {
        Self::start_in(Vec::new(), binary, role, listen, arguments, dir).await
    }

    /// The same with an environment of its own, besides what this process has.
    ///
    /// # Errors
    /// As [`RoleProcess::start`].
    pub async fn start_in(
        environment: Vec<(OsString, OsString)>,
        binary: &Path,
        role: &'static str,
        listen: &str,
        arguments: &[&str],
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let words = [role]
            .into_iter()
            .chain(arguments.iter().copied())
            .chain([listen, &address]);
        let config = ProgramConfig {
            name: role,
            program: binary.to_owned(),
            arguments: words.map(OsString::from).collect(),
            environment,
            dir: dir.to_owned(),
        };
        let program = Program::start(config).await?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .build()?;
        let role = Self {
            program,
            url: format!("http://{address}"),
            http,
        };
        role.ready().await?;
        Ok(role)
    }

    /// Where it answers, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process: its id, its log, signals.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// It ended, or takes too long.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = format!("{}/readyz", self.url);
        loop {
            if let Some(exit) = self.program.ended() {
                return Err(exit.into());
            }
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "not ready after {READY_WITHIN:?}; its log is {}",
                    self.program.log().display()
                );
            }
            sleep(POLL).await;
        }
    }

    /// Starts it again after its end, on the same port, and waits until it is ready.
    ///
    /// # Errors
    /// As [`RoleProcess::start`].
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.program.restart().await?;
        self.ready().await
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// It had ended before, or did not end in good order.
    pub async fn stop(&self) -> anyhow::Result<()> {
        if let Some(exit) = self.program.ended() {
            return Err(exit.into());
        }
        let exit = self.program.stop(STOP_GRACE).await;
        if exit.status.success() {
            Ok(())
        } else {
            Err(exit.into())
        }
    }

    /// Fails if its log tells of a panic.
    ///
    /// # Errors
    /// The line that does.
    pub fn no_panic(&self) -> anyhow::Result<()> {
        let log = self.program.log();
        let text = std::fs::read(&log).with_context(|| format!("{}", log.display()))?;
        match String::from_utf8_lossy(&text)
            .lines()
            .find(|line| line.contains("panicked at"))
        {
            Some(line) => bail!("{}: {line}", log.display()),
            None => Ok(()),
        }
    }

    /// Its resident memory in KiB; `None` where there is no `/proc`.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}
