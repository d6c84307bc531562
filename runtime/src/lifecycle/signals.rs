//! Ending on SIGINT and SIGTERM: the first asks for the drain, the second ends it.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Tasks;

impl Tasks {
    /// Runs `start`, and then until SIGINT, SIGTERM or the first failure; then [`Tasks::stop`]s.
    /// A second signal ends the drain at once.
    ///
    /// Signals are heard before anything starts: one that comes meanwhile gives up `start`, and drains what of it
    /// runs.
    ///
    /// # Errors
    /// That of `start`, at once; a task failed.
    pub async fn run_until_signal(
        &self,
        start: impl Future<Output = anyhow::Result<()>>,
        drain_grace: Duration,
    ) -> anyhow::Result<()> {
        self.run_until_signal_then(start, &[], drain_grace).await
    }

    /// Like [`Tasks::run_until_signal`], but stops `order` one after the other first.
    ///
    /// A process that holds several roles stops what takes in work before what the
    /// work needs: the edge, then the persister, then the servers below both.
    ///
    /// # Errors
    /// As those of [`Tasks::run_until_signal`].
    pub async fn run_until_signal_then(
        &self,
        start: impl Future<Output = anyhow::Result<()>>,
        order: &[Self],
        drain_grace: Duration,
    ) -> anyhow::Result<()> {
        let mut signals = Signals::install()?;
        let failing = async {
            match start.await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping; once more ends it at once");
            }
            error = self.failed() => {
                tracing::error!(error = format!("{error:#}"), "stopping, because a task failed");
            }
            error = failing => return Err(error),
        }
        let stop_all = async {
            for tasks in order {
                // The failure, if any, is on record here too and is answered at the end.
                let _ = tasks.stop(drain_grace).await;
            }
            self.stop(drain_grace).await
        };
        tokio::pin!(stop_all);
        tokio::select! {
            result = &mut stop_all => return result,
            name = signals.next() => {
                tracing::warn!(signal = name, "ending at once");
                self.shutdown().hard();
            }
        }
        stop_all.await
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
