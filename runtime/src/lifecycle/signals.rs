//! Ending on SIGINT and SIGTERM: the first asks for the drain, the second ends it.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Tasks;

impl Tasks {
    /// Runs until SIGINT, SIGTERM or the first failure, then [`Tasks::stop`]s.
    /// A second signal ends the drain at once. An error if a task failed.
    pub async fn run_until_signal(&self, drain_grace: Duration) -> anyhow::Result<()> {
        self.run_until_signal_then(&[], drain_grace).await
    }

    /// Like [`Tasks::run_until_signal`], but stops `order` one after the other first.
    ///
    /// A process that holds several roles stops what takes in work before what the
    /// work needs: the edge, then the persister, then the servers below both.
    pub async fn run_until_signal_then(&self, order: &[Self], drain_grace: Duration) -> anyhow::Result<()> {
        let mut signals = Signals::install()?;
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping; once more ends it at once");
            }
            error = self.failed() => {
                tracing::error!(error = format!("{error:#}"), "stopping, because a task failed");
            }
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
