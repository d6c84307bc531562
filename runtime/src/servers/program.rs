//! Any program as a child process with a log: how tests and benchmarks run roles as processes
//! that can be killed and held still like the servers.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::launch::Wrapper;
use super::process::{Process, Spec};
use super::{ServerError, ServerExit};

const DROP_GRACE: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Debug, Clone)]
pub struct ProgramConfig {
    /// What it is called in errors.
    pub name: &'static str,
    /// The file to execute.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Set in its environment, besides what this process has.
    pub environment: Vec<(OsString, OsString)>,
    /// Where its log is.
    pub dir: PathBuf,
}

/// A program that runs, or ran; cheap to clone, killed when the last clone is dropped, and with
/// the death of this process where the kernel can arrange that.
///
/// Whether it is ready is for the caller to find out: it started when [`Program::start`] returns.
#[derive(Debug, Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ProgramConfig,
    process: Mutex<Arc<Process>>,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be executed, or its directory cannot be used.
    pub async fn start(config: ProgramConfig) -> Result<Self, ServerError> {
        fs::create_dir_all(&config.dir).map_err(ServerError::file("create", &config.dir))?;
        let process = Mutex::new(Arc::new(launch(&config).await?));
        Ok(Self {
            inner: Arc::new(Inner { config, process }),
        })
    }

    /// The process id of the current or last run.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// The log, appended to by every run.
    pub fn log(&self) -> PathBuf {
        self.process().log().to_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ServerExit> {
        self.process().ended()
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

    /// Lets it go on after [`Program::pause`].
    pub fn resume(&self) {
        self.process().signal(Signal::SIGCONT);
    }

    /// Asks it to end (SIGTERM), and kills it after `grace`.
    pub async fn stop(&self, grace: Duration) -> ServerExit {
        self.process().end(Signal::SIGTERM, grace).await
    }

    /// Starts it again after its end, with the same arguments.
    ///
    /// # Errors
    /// It still runs, or cannot be executed.
    pub async fn restart(&self) -> Result<(), ServerError> {
        let before = self.process();
        if before.ended().is_none() {
            return Err(ServerError::StillRunning {
                server: self.inner.config.name,
                pid: before.pid(),
            });
        }
        let next = Arc::new(launch(&self.inner.config).await?);
        *self.lock() = next;
        Ok(())
    }

    /// Waits for the end of the current run, whatever its reason.
    pub async fn exited(&self) -> ServerExit {
        self.process().exited().await
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
        process.end_blocking(Signal::SIGKILL, DROP_GRACE);
    }
}

async fn launch(config: &ProgramConfig) -> Result<Process, ServerError> {
    let wrapper = Wrapper::ourselves().dying_with_parent("KILL").await;
    let mut argv = wrapper.argv(&config.program);
    argv.extend(config.arguments.iter().cloned());
    Process::spawn(Spec {
        server: config.name,
        argv,
        environment: config.environment.clone(),
        log: config.dir.join(format!("{}.log", config.name)),
        pid_file: config.dir.join("pid"),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_killed_and_started_again() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let program = Program::start(ProgramConfig {
            name: "sleeper",
            program: "sleep".into(),
            arguments: vec!["600".into()],
            environment: vec![],
            dir: dir.path().join("sleeper"),
        })
        .await?;
        let first = program.pid();
        assert!(program.ended().is_none());
        assert!(matches!(
            program.restart().await,
            Err(ServerError::StillRunning { .. })
        ));
        program.kill().await;
        assert!(program.ended().is_some());
        program.restart().await?;
        assert_ne!(program.pid(), first);
        program.stop(Duration::from_secs(5)).await;
        Ok(())
    }
}
