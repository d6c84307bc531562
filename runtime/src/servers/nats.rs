//! A nats-server as a child process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Deserialize;

use super::launch::Wrapper;
use super::process::{Process, Spec};
use super::{NatsConfig, ServerError, ServerExit, Tools, leftover};
use crate::lifecycle::Tasks;

const SERVER: &str = "nats-server";
/// Recovering large streams after a crash takes its time.
const READY_GRACE: Duration = Duration::from_secs(120);
const STOP_GRACE: Duration = Duration::from_secs(10);
const DROP_GRACE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(5);

/// A nats-server with JetStream; cheap to clone, killed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct NatsServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    config: NatsConfig,
    /// `config.dir`, absolute.
    dir: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    process: Arc<Process>,
    client: Address,
    monitor: Address,
}

/// What the server writes once it listens.
#[derive(Debug, Deserialize)]
struct PortsFile {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

#[derive(Debug, Clone)]
struct Address {
    url: String,
    port: u16,
}

impl NatsServer {
    /// Starts the server and waits until it listens. It fails at once, with the last
    /// lines of the log, if the server ends instead.
    pub async fn start(tools: &Tools, config: NatsConfig) -> Result<Self, ServerError> {
        fs::create_dir_all(&config.dir).map_err(ServerError::file("create", &config.dir))?;
        let dir = fs::canonicalize(&config.dir).map_err(ServerError::file("find", &config.dir))?;
        leftover::end_noted(&dir.join("pid"), &dir, Signal::SIGTERM).await?;
        let program = tools.nats_server().to_owned();
        let current = launch(&program, &config, &dir, config.port, None).await?;
        let current = Mutex::new(current);
        Ok(Self {
            inner: Arc::new(Inner {
                program,
                config,
                dir,
                current,
            }),
        })
    }

    /// Where clients connect, `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.current().client.url.clone()
    }

    /// Where the monitoring pages are, `http://127.0.0.1:<port>`.
    pub fn monitor_url(&self) -> String {
        self.current().monitor.url.clone()
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.current().client.port
    }

    /// The process id of the current or last run.
    pub fn pid(&self) -> u32 {
        self.current().process.pid()
    }

    /// Where JetStream's files are, which is all that the server keeps.
    pub fn store(&self) -> PathBuf {
        self.inner.dir.join("jetstream")
    }

    /// The log, appended to by every run.
    pub fn log(&self) -> PathBuf {
        self.current().process.log().to_owned()
    }

    /// Ends it with SIGKILL, as a crash would, and waits until it is gone.
    pub async fn kill(&self) {
        let process = self.process();
        process.signal(Signal::SIGKILL);
        process.exited().await;
    }

    /// Holds it still (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        self.process().signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`NatsServer::pause`].
    pub fn resume(&self) {
        self.process().signal(Signal::SIGCONT);
    }

    /// Stops it in good order, and waits until it is gone.
    pub async fn stop(&self) {
        self.process().end(Signal::SIGTERM, STOP_GRACE).await;
    }

    /// Starts it again after its end, on the same ports and files.
    pub async fn restart(&self) -> Result<(), ServerError> {
        let before = self.current().clone();
        if before.process.ended().is_none() {
            return Err(ServerError::StillRunning {
                server: SERVER,
                pid: before.process.pid(),
            });
        }
        let Inner {
            program, config, dir, ..
        } = &*self.inner;
        let (client, monitor) = (before.client.port, before.monitor.port);
        let next = launch(program, config, dir, Some(client), Some(monitor)).await?;
        *self.current() = next;
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
        Arc::clone(&self.current().process)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Blocking for a moment is worth it: the owner may remove the directory next.
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner);
        current.process.end_blocking(Signal::SIGKILL, DROP_GRACE);
    }
}

async fn launch(
    program: &Path,
    config: &NatsConfig,
    dir: &Path,
    client_port: Option<u16>,
    monitor_port: Option<u16>,
) -> Result<Current, ServerError> {
    let file = dir.join("nats-server.conf");
    let text = config.render(dir, client_port, monitor_port);
    fs::write(&file, text).map_err(ServerError::file("write", &file))?;
    // The server says there which ports it got: no guess, no race, and no polling of TCP.
    let ports_dir = dir.join("ports");
    let _ = fs::remove_dir_all(&ports_dir);
    fs::create_dir_all(&ports_dir).map_err(ServerError::file("create", &ports_dir))?;
    let wrapper = Wrapper::ourselves().dying_with_parent("KILL").await;
    let mut argv = wrapper.argv(program);
    argv.extend([
        "-c".into(),
        file.into(),
        "--ports_file_dir".into(),
        (&ports_dir).into(),
    ]);
    let log = dir.join("nats-server.log");
    let spec = Spec {
        server: SERVER,
        argv,
        environment: Vec::new(),
        log,
        pid_file: dir.join("pid"),
    };
    let process = Process::spawn(spec).await?;
    let ports = tokio::select! {
        ports = ports_file(&ports_dir) => ports,
        exit = process.exited() => return Err(exit.into()),
        () = tokio::time::sleep(READY_GRACE) => None,
    };
    let addresses =
        ports.and_then(|ports| Some((Address::first(ports.nats)?, Address::first(ports.monitoring)?)));
    let Some((client, monitor)) = addresses else {
        process.end(Signal::SIGKILL, STOP_GRACE).await;
        return Err(ServerError::NotReady {
            server: SERVER,
            seconds: READY_GRACE.as_secs(),
            log: process.log().to_owned(),
            tail: process.tail(),
        });
    };
    Ok(Current {
        process: Arc::new(process),
        client,
        monitor,
    })
}

async fn ports_file(dir: &Path) -> Option<PortsFile> {
    loop {
        let files = fs::read_dir(dir).ok()?;
        for file in files.flatten() {
            // It may be half written still; then it is whole the next time.
            if let Ok(bytes) = fs::read(file.path())
                && let Ok(ports) = serde_json::from_slice(&bytes)
            {
                return Some(ports);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Address {
    fn first(urls: Vec<String>) -> Option<Self> {
        let url = urls.into_iter().next()?;
        let port = url.rsplit_once(':')?.1.parse().ok()?;
        Some(Self { url, port })
    }
}
