//! Why a server could not be started, or that it ended; messages tell a person what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A server process ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{server} ended ({status}); its log is {}{}", log.display(), indented(tail))]
pub struct ServerExit {
    /// `nats-server` or `postgres`.
    pub server: &'static str,
    /// How it ended.
    pub status: ExitStatus,
    /// The whole log.
    pub log: PathBuf,
    /// The last lines of the log.
    pub tail: Vec<String>,
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or directory of the server could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program could not be executed at all.
    #[error("cannot execute {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server ended instead of getting ready.
    #[error(transparent)]
    Exited(#[from] ServerExit),
    /// The server neither got ready nor ended.
    #[error("{server} was not ready after {seconds} s; its log is {}{}", log.display(), indented(tail))]
    NotReady {
        /// `nats-server` or `postgres`.
        server: &'static str,
        /// How long we waited.
        seconds: u64,
        /// The whole log.
        log: PathBuf,
        /// The last lines of the log.
        tail: Vec<String>,
    },
    /// The server still runs, so that it cannot be started again.
    #[error("{server} is still running (process {pid}); stop or kill it before a restart")]
    StillRunning {
        /// `nats-server` or `postgres`.
        server: &'static str,
        /// Its process id.
        pid: u32,
    },
    /// A process of an earlier run holds the directory and does not go away.
    #[error(
        "process {pid} of an earlier run still uses {} and does not end; end it and start again",
        dir.display()
    )]
    Leftover {
        /// The process.
        pid: u32,
        /// The directory.
        dir: PathBuf,
    },
    /// The data was written by another major version of Postgres.
    #[error(
        "{} was written by Postgres {found}, but this needs Postgres {wanted}; \
         use another data directory, or convert it with pg_upgrade",
        dir.display()
    )]
    OtherVersion {
        /// Postgres's data directory.
        dir: PathBuf,
        /// What the directory says.
        found: String,
        /// What is supported.
        wanted: u32,
    },
    /// The directory holds a database, but not its password.
    #[error(
        "{} is missing or empty: it holds the password of the database beside it; \
         put it back from a backup, or use another data directory",
        path.display()
    )]
    PasswordLost {
        /// The password file.
        path: PathBuf,
    },
    /// A step of setting up a new database failed.
    #[error("setting up the database failed at {step}:{}", indented(output))]
    Setup {
        /// The step.
        step: &'static str,
        /// The last lines that it printed.
        output: Vec<String>,
    },
    /// Postgres refuses root, and there is no way here to run it as somebody else.
    #[error(
        "Postgres refuses to run as root, and neither `unshare --user` nor `setpriv` with a user \
         `nobody` works here; start natterjack as an ordinary user, or point DATABASE_URL at a \
         Postgres that runs already"
    )]
    Root,
    /// Postgres has to run as `nobody`, who cannot reach what it needs.
    #[error(
        "Postgres refuses to run as root and has to run as `nobody`, who cannot reach {}; \
         start natterjack as an ordinary user, or choose a --data-dir that everybody can reach \
         (`chmod o+x` on the directories above it)",
        path.display()
    )]
    Unreachable {
        /// What cannot be reached.
        path: PathBuf,
    },
}

impl ServerError {
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n    {line}")).collect()
}
