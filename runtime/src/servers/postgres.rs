//! A Postgres as a child process.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::launch::Wrapper;
use super::ports::free_port;
use super::postgres_init::{self, DATABASE, Layout};
use super::process::{Process, Spec};
use super::{ServerError, ServerExit, Tools, leftover};
use crate::lifecycle::Tasks;

const SERVER: &str = "postgres";
/// Crash recovery reads back all that was written since the last checkpoint.
const READY_GRACE: Duration = Duration::from_secs(300);
/// A fast shutdown writes a checkpoint.
const STOP_GRACE: Duration = Duration::from_secs(30);
const DROP_GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(5);
/// How often another free port is tried when somebody else got it first.
const PORT_TRIES: u32 = 5;

/// What a Postgres is started with; [`PostgresConfig::new`] fills in all but the directory.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// Where its password, log and data are.
    pub dir: PathBuf,
    /// The port on 127.0.0.1; `None` chooses a free one, kept over restarts.
    pub port: Option<u16>,
    /// How many connections it takes.
    pub max_connections: u32,
    /// Further settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Set in the server's environment, besides what this process has.
    pub environment: Vec<(OsString, OsString)>,
}

impl PostgresConfig {
    /// On a free port, with Postgres's own settings.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            port: None,
            max_connections: 200,
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Whether the directory has a database already; making one takes about a second.
    pub fn is_initialised(&self) -> bool {
        Layout::new(self.dir.clone()).data.exists()
    }
}

/// A Postgres with a database `natterjack`; cheap to clone, ended when the last clone is
/// dropped.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    program: PathBuf,
    config: PostgresConfig,
    layout: Layout,
    wrapper: Wrapper,
    password: String,
    port: u16,
    process: Mutex<Arc<Process>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not derived: the password must not get into a log.
        f.debug_struct("Postgres")
            .field("dir", &self.inner.layout.dir)
            .field("port", &self.inner.port)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Makes the database if the directory has none, starts the server and waits until it
    /// accepts connections. It fails at once, with the last lines of the log, if the
    /// server ends instead.
    pub async fn start(tools: &Tools, config: PostgresConfig) -> Result<Self, ServerError> {
        let wrapper = Wrapper::unprivileged().await?;
        Self::start_as(tools, config, wrapper).await
    }

    async fn start_as(tools: &Tools, config: PostgresConfig, wrapper: Wrapper) -> Result<Self, ServerError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.dir)
            .map_err(ServerError::file("create", &config.dir))?;
        let dir = fs::canonicalize(&config.dir).map_err(ServerError::file("find", &config.dir))?;
        let layout = Layout::new(dir);
        check_reach(tools, &layout.dir, &wrapper).await?;
        leftover::end_noted(&layout.dir.join("pid"), &layout.dir, Signal::SIGINT).await?;
        let password = postgres_init::ensure(tools, &layout, &wrapper).await?;
        let wrapper = wrapper.dying_with_parent("INT").await;
        let program = tools.postgres();
        let mut tries = PORT_TRIES;
        let (process, port) = loop {
            let port = match config.port {
                Some(port) => port,
                None => free_port().map_err(ServerError::file("find a free port for", &layout.dir))?,
            };
            match launch(&program, &config, &layout, &wrapper, port).await {
                Ok(process) => break (process, port),
                Err(ServerError::Exited(exit)) if config.port.is_none() && tries > 1 && lost_port(&exit) => {
                    tries -= 1;
                }
                Err(error) => return Err(error),
            }
        };
        let process = Mutex::new(Arc::new(process));
        let inner = Inner {
            program,
            config,
            layout,
            wrapper,
            password,
            port,
            process,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The database `natterjack` as its owner, with the password in it: not for logs.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The same for another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        let Inner { password, port, .. } = &*self.inner;
        format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// The process id of the postmaster of the current or last run.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Where its data are: what a base backup holds. They belong to who the server runs as.
    pub fn data(&self) -> &Path {
        &self.inner.layout.data
    }

    /// The log, appended to by every run.
    pub fn log(&self) -> PathBuf {
        self.process().log().to_owned()
    }

    /// Ends the postmaster with SIGKILL, as a crash would, and waits until it is gone. Its
    /// backends follow by themselves; [`Postgres::restart`] waits for them.
    pub async fn kill(&self) {
        let process = self.process();
        process.signal(Signal::SIGKILL);
        process.exited().await;
    }

    /// Holds the postmaster still (SIGSTOP): no new connections. Its backends go on.
    pub fn pause(&self) {
        self.process().signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`Postgres::pause`].
    pub fn resume(&self) {
        self.process().signal(Signal::SIGCONT);
    }

    /// Ends all connections and stops it in good order, and waits until it is gone.
    pub async fn stop(&self) {
        self.process().end(Signal::SIGINT, STOP_GRACE).await;
    }

    /// Starts it again after its end, on the same port and data.
    pub async fn restart(&self) -> Result<(), ServerError> {
        let before = self.process();
        if before.ended().is_none() {
            return Err(ServerError::StillRunning {
                server: SERVER,
                pid: before.pid(),
            });
        }
        let Inner {
            program,
            config,
            layout,
            wrapper,
            port,
            ..
        } = &*self.inner;
        let next = launch(program, config, layout, wrapper, *port).await?;
        *self.lock() = Arc::new(next);
        Ok(())
    }

    /// Waits for the end of the current run, whatever its reason.
    pub async fn exited(&self) -> ServerExit {
        self.process().exited().await
    }

    /// Runs it as a task: its end is a failure of the whole, and the drain stops it.
    pub fn supervise(&self, tasks: &Tasks) {
        let (server, shutdown) = (self.clone(), tasks.shutdown().clone());
        tasks.spawn(SERVER, async move {
            tokio::select! {
                exit = server.exited() => Err(exit.into()),
                () = shutdown.draining() => {
                    server.stop().await;
                    Ok(())
                }
            }
        });
    }

    fn process(&self) -> Arc<Process> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Process>> {
        self.inner.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Immediate shutdown takes the backends along, which SIGKILL would leave to find
        // out for themselves while the owner removes the directory already.
        process.end_blocking(Signal::SIGQUIT, DROP_GRACE);
    }
}

async fn check_reach(tools: &Tools, dir: &Path, wrapper: &Wrapper) -> Result<(), ServerError> {
    let Some((uid, gid)) = wrapper.owner else {
        return Ok(());
    };
    std::os::unix::fs::chown(dir, Some(uid), Some(gid)).map_err(ServerError::file("give away", dir))?;
    for path in [dir, &tools.postgres()] {
        if !wrapper.can_reach(path).await {
            return Err(ServerError::Unreachable {
                path: path.to_owned(),
            });
        }
    }
    Ok(())
}

async fn launch(
    program: &Path,
    config: &PostgresConfig,
    layout: &Layout,
    wrapper: &Wrapper,
    port: u16,
) -> Result<Process, ServerError> {
    let lock_file = layout.data.join("postmaster.pid");
    leftover::wait_for_backends(&layout.data).await?;
    if leftover::can_see_processes() {
        // Nobody works on the data, as we just saw. Postgres itself can only look at the
        // process id in there, which after a restart of a container is somebody else's.
        let _ = fs::remove_file(&lock_file);
    }
    let mut argv = wrapper.argv(program);
    argv.push("-D".into());
    argv.push((&layout.data).into());
    let own = [
        ("port", port.to_string()),
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("unix_socket_directories", String::new()),
        ("max_connections", config.max_connections.to_string()),
        // The log is ours to keep: one file, where the last lines can be found.
        ("log_destination", "stderr".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("lc_messages", "C".to_owned()),
    ];
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let more = config
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(more) {
        argv.push("-c".into());
        argv.push(format!("{name}={value}").into());
    }
    let log = layout.dir.join("postgres.log");
    let spec = Spec {
        server: SERVER,
        argv,
        environment: config.environment.clone(),
        log,
        pid_file: layout.dir.join("pid"),
    };
    let process = Process::spawn(spec).await?;
    let ready = tokio::select! {
        () = ready(&lock_file, process.pid()) => true,
        exit = process.exited() => return Err(exit.into()),
        () = tokio::time::sleep(READY_GRACE) => false,
    };
    if ready {
        return Ok(process);
    }
    process.end(Signal::SIGINT, STOP_GRACE).await;
    Err(ServerError::NotReady {
        server: SERVER,
        seconds: READY_GRACE.as_secs(),
        log: process.log().to_owned(),
        tail: process.tail(),
    })
}

/// Waits until Postgres notes in its own lock file that it accepts connections, which is
/// what `pg_ctl` waits for too.
async fn ready(lock_file: &Path, pid: u32) {
    const PID_LINE: usize = 0;
    const STATUS_LINE: usize = 7;
    let pid = pid.to_string();
    loop {
        let text = fs::read_to_string(lock_file).unwrap_or_default();
        let line = |number| text.lines().nth(number).map(str::trim);
        if line(PID_LINE) == Some(&pid) && line(STATUS_LINE) == Some("ready") {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn lost_port(exit: &ServerExit) -> bool {
    exit.tail
        .iter()
        .any(|line| line.contains("could not bind IPv4 address"))
}

#[cfg(test)]
mod tests;
