//! The server programs: those on PATH if they are good enough, else installed ones.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::postgres_init::MAJOR;
use super::{Progress, tools_install as install};

/// The oldest nats-server with TTLs per message and a group commit of its syncs.
const NATS_MIN: (u32, u32, u32) = (2, 15, 0);
/// A program on PATH that hangs when asked for its version is not one to use.
const VERSION_GRACE: Duration = Duration::from_secs(10);

/// Where the server programs are.
#[derive(Debug, Clone)]
pub struct Tools {
    nats_server: PathBuf,
    postgres_bin: PathBuf,
}

/// Why no server programs could be had.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no python3 to install with.
    #[error(
        "{tool} is not on PATH in a version that will do, and cannot be installed because python3 \
         is missing; install either {tool} or python3 with pip (such as `apt install python3-pip`)"
    )]
    PythonMissing {
        /// What was to be installed.
        tool: String,
    },
    /// There is a python3, but without pip.
    #[error(
        "{tool} is not on PATH in a version that will do, and cannot be installed because python3 \
         has no pip; install either {tool} or pip (such as `apt install python3-pip`)"
    )]
    PipMissing {
        /// What was to be installed.
        tool: String,
    },
    /// Pip ran and failed.
    #[error(
        "pip could not install {tool}:\n{output}\ninstall {tool} yourself and put it on PATH, or try again"
    )]
    Pip {
        /// What was to be installed.
        tool: String,
        /// The last lines that pip printed.
        output: String,
    },
    /// Npm ran and failed, or is not there.
    #[error("npm could not install {tool}: {output}; install Node.js with npm, or try again")]
    Npm {
        /// What was to be installed.
        tool: String,
        /// The last lines that npm printed, or why it did not run.
        output: String,
    },
    /// What was installed does not run here.
    #[error("the installed {} does not run here; install {tool} yourself and put it on PATH", program.display())]
    DoesNotRun {
        /// What was installed.
        tool: String,
        /// The program.
        program: PathBuf,
    },
    /// The directory for installed programs could not be used.
    #[error("cannot install servers into {}: {source}", path.display())]
    File {
        /// The directory or a file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Tools {
    /// Finds nats-server 2.15 or newer and Postgres 18 on PATH, and installs what is
    /// missing into `tools_dir`, once: later calls, also of other processes, find it there.
    pub async fn locate_or_install(tools_dir: &Path, progress: &dyn Progress) -> Result<Self, ToolError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::locate_in(&path, tools_dir, progress).await
    }

    async fn locate_in(path: &OsStr, tools_dir: &Path, progress: &dyn Progress) -> Result<Self, ToolError> {
        let nats_server = match nats_on_path(path).await {
            Some(program) => program,
            None => install::nats_server(tools_dir, path, progress).await?,
        };
        let postgres_bin = match postgres_on_path(path).await {
            Some(bin) => bin,
            None => install::postgres(tools_dir, path, progress).await?,
        };
        Ok(Self {
            nats_server,
            postgres_bin,
        })
    }

    /// The same nats-server, with the Postgres of another directory: that of
    /// [`super::install_postgres_with_tls`], or one that an operator has built with extensions.
    #[must_use]
    pub fn with_postgres_bin(self, postgres_bin: PathBuf) -> Self {
        Self { postgres_bin, ..self }
    }

    /// The nats-server program.
    pub fn nats_server(&self) -> &Path {
        &self.nats_server
    }

    /// The directory with Postgres's programs.
    pub fn postgres_bin(&self) -> &Path {
        &self.postgres_bin
    }

    /// The postgres program.
    pub fn postgres(&self) -> PathBuf {
        self.postgres_bin.join("postgres")
    }

    /// The initdb program.
    pub fn initdb(&self) -> PathBuf {
        self.postgres_bin.join("initdb")
    }
}

/// Every place is looked at, not only the first: an old one may stand before a new one.
async fn nats_on_path(path: &OsStr) -> Option<PathBuf> {
    for dir in std::env::split_paths(path) {
        let program = dir.join("nats-server");
        if nats_will_do(&program).await {
            return Some(program);
        }
    }
    None
}

async fn postgres_on_path(path: &OsStr) -> Option<PathBuf> {
    for dir in std::env::split_paths(path) {
        // Distributions put links on PATH; what belongs together is where they point.
        let Ok(program) = dir.join("postgres").canonicalize() else {
            continue;
        };
        let Some(bin) = program.parent() else { continue };
        if postgres_will_do(bin).await {
            return Some(bin.to_owned());
        }
    }
    None
}

/// Whether this is a nats-server that is new enough.
pub(super) async fn nats_will_do(program: &Path) -> bool {
    let found = version_of(program, "nats-server: v").await;
    found.is_some_and(|found| found >= NATS_MIN)
}

/// Whether this directory has a Postgres of the right major version.
pub(super) async fn postgres_will_do(bin: &Path) -> bool {
    let prefix = "postgres (PostgreSQL) ";
    let server = version_of(&bin.join("postgres"), prefix).await;
    let init = version_of(&bin.join("initdb"), "initdb (PostgreSQL) ").await;
    [server, init]
        .iter()
        .all(|found| found.is_some_and(|(major, ..)| major == MAJOR))
}

async fn version_of(program: &Path, prefix: &str) -> Option<(u32, u32, u32)> {
    if !program.is_file() {
        return None;
    }
    let asked = Command::new(program)
        .arg(OsString::from("--version"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(VERSION_GRACE, asked).await.ok()?.ok()?;
    parse_version(
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .strip_prefix(prefix)?,
    )
}

/// `2.15.1`, `18.6`, `2.16.0-preview.1`, `18.6 (Debian 18.6-1)`; a missing part is zero.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = numbers.split('.').map(|part| part.parse().unwrap_or(0));
    let major = numbers.split('.').next()?.parse().ok()?;
    parts.next();
    Some((major, parts.next().unwrap_or(0), parts.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests;
