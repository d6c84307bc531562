//! Whether a role is ready, as named checks that its parts set, and the small HTTP
//! server that roles without an HTTP interface of their own answer probes with.
//!
//! The checks are metrics too ([`Health::measure`]): connections to NATS are among them, so that a check that
//! failed so often is a connection that was lost so often.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use tokio::net::TcpListener;

use crate::lifecycle::{Shutdown, Tasks};
use crate::metrics::{self, Metrics};

/// Named checks of one role; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
}

#[derive(Debug)]
struct Check {
    state: Result<(), String>,
    /// How often it was fine and then was not.
    failures: u64,
}

type ByCheck<M> = Family<[(&'static str, String); 1], M>;

impl Health {
    /// No check yet, which counts as ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a check: fine, or the reason why not.
    pub fn set(&self, name: impl Into<String>, state: Result<(), String>) {
        let mut checks = self.lock();
        let check = checks.entry(name.into()).or_insert(Check {
            state: Ok(()),
            failures: 0,
        });
        // What fails from the start was never fine.
        check.failures += u64::from(check.state.is_ok() && state.is_err());
        check.state = state;
    }

    /// Exports the checks, and what they come to, as metrics of this role.
    pub fn measure(&self, metrics: &Metrics, shutdown: &Shutdown) {
        let gauge = |name: &str, help: &str| metrics.register(name, help, Gauge::<i64>::default());
        let ready = gauge("ready", "1 if all checks are fine and the process does not drain");
        let draining = gauge("draining", "1 while the process drains");
        let fine: ByCheck<Gauge> =
            metrics.register("check_fine", "1 while a check is fine", Family::default());
        let failures: ByCheck<Counter> = metrics.register(
            "check_failures",
            "How often a check was fine and then was not",
            Family::default(),
        );
        let (health, shutdown) = (self.clone(), shutdown.clone());
        metrics.before_encoding(move || {
            draining.set(i64::from(shutdown.is_draining()));
            ready.set(i64::from(!shutdown.is_draining() && health.ready().is_ok()));
            for (name, check) in health.lock().iter() {
                let label = [("check", name.clone())];
                fine.get_or_create(&label).set(i64::from(check.state.is_ok()));
                let counter = failures.get_or_create(&label);
                counter.inc_by(check.failures.saturating_sub(counter.get()));
            }
        });
    }

    /// Fine, or every failing check with its reason.
    pub fn ready(&self) -> Result<(), Vec<(String, String)>> {
        let failing: Vec<_> = self
            .lock()
            .iter()
            .filter_map(|(name, check)| Some((name.clone(), check.state.as_ref().err()?.clone())))
            .collect();
        if failing.is_empty() { Ok(()) } else { Err(failing) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Check>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Routes `/healthz` (the process lives), `/readyz` (it can do its work, and is not
/// draining) and `/metrics`; a role with an HTTP server of its own merges them.
pub fn router(metrics: Metrics, health: Health, tasks: &Tasks) -> Router {
    probes(health, tasks).route(
        "/metrics",
        get(move || async move { ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode()) }),
    )
}

/// As [`router`], without `/metrics`: for a listener that strangers reach.
pub fn probes(health: Health, tasks: &Tasks) -> Router {
    let shutdown = tasks.shutdown().clone();
    Router::new().route("/healthz", get(|| async { "ok\n" })).route(
        "/readyz",
        get(move || {
            let draining = shutdown.is_draining();
            let state = health.ready();
            async move { readiness(draining, state) }
        }),
    )
}

/// Serves [`router`] on `address` as a task until the drain begins; answers the address
/// it listens on (of use when the port was 0).
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    health: Health,
    tasks: &Tasks,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let app = router(metrics, health, tasks);
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("health", async move {
        tokio::select! {
            served = async { axum::serve(listener, app).await } => Ok(served?),
            () = shutdown.draining() => Ok(()),
        }
    });
    Ok(bound)
}

fn readiness(draining: bool, state: Result<(), Vec<(String, String)>>) -> impl IntoResponse {
    let mut body = String::new();
    if draining {
        body.push_str("draining\n");
    }
    for (name, reason) in state.err().unwrap_or_default() {
        let _ = writeln!(body, "{name}: {reason}");
    }
    if body.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn probes_see_what_the_parts_say() -> anyhow::Result<()> {
        let (tasks, health, metrics) = (Tasks::new(), Health::new(), Metrics::new("test"));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(any, metrics, health.clone(), &tasks).await?;
        assert!(get(address, "/readyz").await?.starts_with("HTTP/1.1 200"));
        health.set("nats", Err("disconnected".to_owned()));
        let answer = get(address, "/readyz").await?;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("nats: disconnected"), "{answer}");
        health.set("nats", Ok(()));
        assert!(get(address, "/readyz").await?.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/healthz").await?.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await?.contains("# EOF"));
        tasks.stop(Duration::from_secs(5)).await
    }

    #[test]
    fn checks_are_metrics_and_failures_are_counted() {
        let (tasks, health, metrics) = (Tasks::new(), Health::new(), Metrics::new("test"));
        health.measure(&metrics, tasks.shutdown());
        health.set("start", Err("not yet".to_owned()));
        let expect = |lines: &[&str]| {
            let text = metrics.encode();
            for line in lines {
                assert!(text.lines().any(|found| found == *line), "{line} in {text}");
            }
        };
        expect(&[
            "natterjack_ready{role=\"test\"} 0",
            "natterjack_check_fine{role=\"test\",check=\"start\"} 0",
        ]);
        for state in [Ok(()), Err("away".to_owned()), Err("away".to_owned()), Ok(())] {
            health.set("nats", state);
        }
        health.set("start", Ok(()));
        expect(&[
            "natterjack_ready{role=\"test\"} 1",
            "natterjack_draining{role=\"test\"} 0",
            "natterjack_check_fine{role=\"test\",check=\"nats\"} 1",
            "natterjack_check_failures_total{role=\"test\",check=\"nats\"} 1",
        ]);
        tasks.shutdown().soft();
        expect(&[
            "natterjack_ready{role=\"test\"} 0",
            "natterjack_draining{role=\"test\"} 1",
        ]);
    }
}
