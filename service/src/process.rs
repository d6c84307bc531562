//! The service `process`, which every process of every role hosts: what it is, and what it logs.

use std::{collections::HashMap, time::Duration};

use natterjack_nats::{
    ids::ProcessId,
    services::{
        Verb, names,
        process::{Info, LOG_FOR_S, LOG_FOR_S_MAX, Log, LogState, Logging, ProcessInfo},
    },
    subjects::svc,
    wire::{Code, WireError},
};
use natterjack_runtime::{
    clock::Clock,
    lifecycle::Tasks,
    telemetry::{LogControl, LogNow},
};

use crate::{Host, Hosted};

/// How often it is looked whether the time of another log filter is over.
const LOOK: Duration = Duration::from_millis(250);

/// One process, as operators see it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Process {
    id: ProcessId,
    role: &'static str,
    up_since: u64,
    clock: Clock,
    log: Option<LogControl>,
}

impl Process {
    /// A process that starts now under an id of its own, or that of an edge.
    #[must_use]
    pub fn new(role: &'static str, id: Option<ProcessId>, clock: Clock) -> Self {
        let up_since = clock.now_ms();
        Self {
            id: id.unwrap_or_else(|| ProcessId::generate(up_since)),
            role,
            up_since,
            clock,
            log: LogControl::installed(),
        }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ProcessId {
        self.id
    }

    /// Answers on `svc.process.<verb>` and `svc.process.<verb>.<id>` until `tasks` drain.
    ///
    /// # Errors
    /// NATS is away.
    pub async fn serve(&self, host: &Host, tasks: &Tasks) -> anyhow::Result<()> {
        let metadata = [("role", self.role.to_owned()), ("process", self.id.to_string())];
        let metadata: HashMap<_, _> = metadata
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let service = host
            .service_of_each(
                names::PROCESS,
                "What an operator asks of every process, or of one",
                &self.id.to_string(),
                metadata,
            )
            .await?;
        self.verb(&service, |this: Self, Info {}| async move { Ok(this.info()) })
            .await?;
        self.verb(&service, |this: Self, asked: Log| async move { this.log(&asked) })
            .await?;
        self.expire(tasks);
        Ok(())
    }

    async fn verb<V, H, F>(&self, service: &Hosted, handler: H) -> anyhow::Result<()>
    where
        V: Verb,
        H: Fn(Self, V) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<V::Reply, WireError>> + Send,
    {
        service.verb(self, handler.clone()).await?;
        let one = format!("{}_one", V::NAME);
        service
            .endpoint(&one, svc::of_process::<V>(self.id), self, handler)
            .await
    }

    /// What is configured is logged again, once the time of another filter is over.
    fn expire(&self, tasks: &Tasks) {
        let (Some(log), shutdown) = (self.log.clone(), tasks.shutdown().clone()) else {
            return;
        };
        tasks.spawn("log filter", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = shutdown.draining() => return Ok(()),
                }
                match log.expire() {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::info!(log.filter = log.now().filter, "the log is as configured again");
                    }
                    Err(error) => tracing::error!(%error, "the log cannot be set back"),
                }
            }
        });
    }

    fn info(&self) -> ProcessInfo {
        ProcessInfo {
            id: self.id,
            role: self.role.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_since: self.up_since,
            now: self.clock.now_ms(),
            log: self.log.as_ref().map(|log| state(log.now())),
        }
    }

    fn log(&self, asked: &Log) -> Result<Logging, WireError> {
        let Some(log) = &self.log else {
            return Err(WireError::new(
                Code::Unavailable,
                "this process was started without a log that can be changed",
            ));
        };
        let bad = |told: String| WireError::new(Code::BadRequest, told);
        let for_s = asked.for_s.unwrap_or(LOG_FOR_S);
        if !(1..=LOG_FOR_S_MAX).contains(&for_s) {
            return Err(bad(format!("for_s is from 1 to {LOG_FOR_S_MAX} seconds")));
        }
        let filter = asked.filter.trim();
        let now = if filter.is_empty() {
            log.reset()
        } else {
            log.set(filter, Duration::from_secs(for_s.into()))
        };
        let log = state(now.map_err(|error| bad(error.to_string()))?);
        // At a level that only `error` and `off` hide: who reads the log later wants to know why it changed.
        tracing::warn!(
            log.filter,
            log.for_s,
            "an operator changed what is logged, through svc.process.log"
        );
        Ok(Logging {
            id: self.id,
            role: self.role.to_owned(),
            log,
        })
    }
}

fn state(now: LogNow) -> LogState {
    LogState {
        filter: now.filter,
        configured: now.configured,
        // Rounded up: it never says 0 while it holds.
        for_s: now
            .remaining
            .map(|left| u32::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)),
    }
}
