//! One child process: a log file, a keeper thread that waits for its end, signals.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use super::{ServerError, ServerExit};

/// How many of the last log lines go into an error.
const TAIL_LINES: usize = 20;
/// How much of the end of a log is looked at for them.
const TAIL_BYTES_MAX: u64 = 64 * 1024;
/// A log that is longer than this at a start is moved aside, in place of the one before.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What to execute.
pub(super) struct Spec {
    pub(super) server: &'static str,
    pub(super) argv: Vec<OsString>,
    /// Set besides what this process has.
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) log: PathBuf,
    /// Where the process id is noted for the next start, should this one die with us.
    pub(super) pid_file: PathBuf,
}

/// A running or ended child.
#[derive(Debug)]
pub(super) struct Process {
    server: &'static str,
    pid: u32,
    log: PathBuf,
    /// Where in the log this run began.
    log_start: u64,
    status: watch::Receiver<Option<ExitStatus>>,
    /// Whether it ended, for where nothing can be awaited.
    blocking: Arc<(Mutex<bool>, Condvar)>,
}

impl Process {
    /// Starts the child and a thread that waits for it.
    ///
    /// The thread also starts it: where the kernel ends a child with its parent, it means
    /// the parent *thread*, and a thread of a runtime may be gone before the process.
    pub(super) async fn spawn(spec: Spec) -> Result<Self, ServerError> {
        let Spec {
            server,
            argv,
            environment,
            log,
            pid_file,
        } = spec;
        let (output, log_start) = open_log(&log).map_err(ServerError::file("open", &log))?;
        let (status_sender, status) = watch::channel(None);
        let (sender, spawned) = tokio::sync::oneshot::channel();
        let blocking = Arc::new((Mutex::new(false), Condvar::new()));
        let ended = Arc::clone(&blocking);
        let keeper = move || {
            let mut child = match start(&argv, environment, output) {
                Ok(child) => child,
                Err(source) => {
                    let program = argv.last().map(PathBuf::from).unwrap_or_default();
                    let _ = sender.send(Err(ServerError::Spawn { program, source }));
                    return;
                }
            };
            if sender.send(Ok(child.id())).is_err() {
                // Nobody waits for it any more: the start was given up.
                let _ = child.kill();
            }
            // Fails only for a child that was waited for already, and only we do.
            if let Ok(status) = child.wait() {
                let _ = status_sender.send(Some(status));
                *ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                ended.1.notify_all();
            }
        };
        std::thread::Builder::new()
            .name(format!("{server}-keeper"))
            .spawn(keeper)
            .map_err(|source| ServerError::Spawn {
                program: server.into(),
                source,
            })?;
        let pid = spawned.await.map_err(|_| ServerError::Spawn {
            program: server.into(),
            source: std::io::Error::other("its keeper thread ended"),
        })??;
        let process = Self {
            server,
            pid,
            log,
            log_start,
            status,
            blocking,
        };
        fs::write(&pid_file, format!("{pid}\n")).map_err(ServerError::file("write", &pid_file))?;
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, unless the child has ended: its id may be another's by now.
    pub(super) fn signal(&self, signal: Signal) {
        if self.status.borrow().is_none()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<ServerExit> {
        let status = (*self.status.borrow())?;
        Some(self.exit(status))
    }

    /// Waits for its end.
    pub(super) async fn exited(&self) -> ServerExit {
        let mut receiver = self.status.clone();
        let status = receiver.wait_for(Option::is_some).await.map(|status| *status);
        match status {
            Ok(Some(status)) => self.exit(status),
            // The keeper is gone without a status, which cannot happen before its child's end.
            _ => std::future::pending().await,
        }
    }

    /// Sends `signal`, and SIGKILL to a child that has not ended after `grace`.
    pub(super) async fn end(&self, signal: Signal, grace: Duration) -> ServerExit {
        // A paused child would not hear anything but SIGKILL.
        self.signal(signal);
        self.signal(Signal::SIGCONT);
        if let Ok(exit) = tokio::time::timeout(grace, self.exited()).await {
            return exit;
        }
        tracing::warn!(
            server = self.server,
            pid = self.pid,
            "did not stop in time; killing it"
        );
        self.signal(Signal::SIGKILL);
        self.exited().await
    }

    /// The same from where nothing can be awaited.
    pub(super) fn end_blocking(&self, signal: Signal, grace: Duration) {
        self.signal(signal);
        self.signal(Signal::SIGCONT);
        if !self.wait_blocking(grace) {
            self.signal(Signal::SIGKILL);
            self.wait_blocking(grace);
        }
    }

    /// The last lines that this run of the child wrote.
    pub(super) fn tail(&self) -> Vec<String> {
        tail(&self.log, self.log_start).unwrap_or_default()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    fn exit(&self, status: ExitStatus) -> ServerExit {
        ServerExit {
            server: self.server,
            status,
            log: self.log.clone(),
            tail: self.tail(),
        }
    }

    fn wait_blocking(&self, grace: Duration) -> bool {
        let (ended, wake) = &*self.blocking;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = wake.wait_timeout_while(ended, grace, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Also where a start was given up half way: no child outlives its handle.
        self.signal(Signal::SIGKILL);
    }
}

fn start(
    argv: &[OsString],
    environment: Vec<(OsString, OsString)>,
    output: File,
) -> std::io::Result<std::process::Child> {
    let [program, arguments @ ..] = argv else {
        return Err(std::io::Error::other("no program"));
    };
    Command::new(program)
        .args(arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C in a terminal goes to a whole group; we stop our children in order.
        .process_group(0)
        .spawn()
}

fn open_log(path: &Path) -> std::io::Result<(File, u64)> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn tail(path: &Path, start: u64) -> std::io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL_BYTES_MAX))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.trim_end().lines().map(str::to_owned).collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    Ok(lines.into_iter().skip(first).collect())
}
