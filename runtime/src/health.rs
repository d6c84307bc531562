//! Whether a role is ready, as named checks that its parts set, and the small HTTP
//! server that roles without an HTTP interface of their own answer probes with.
//!
//! The checks are metrics too ([`Health::measure`]): connections to NATS are among them, so that a check that
//! failed so often is a connection that was lost so often.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::lifecycle::{Shutdown, Tasks};
use crate::metrics::{self, Metrics};

/// Named checks of one role; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
    /// The role drains although its process does not end.
    draining: Arc<AtomicBool>,
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

    /// Says whether the role drains: it does in any case while its process ends.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    /// Exports the checks, and what they come to, as metrics of this role.
    pub fn measure(&self, metrics: &Metrics, shutdown: &Shutdown) {
        let gauge = |name: &str, help: &str| metrics.register(name, help, Gauge::<i64>::default());
        let ready = gauge("ready", "1 if all checks are fine and it does not drain");
        let draining = gauge("draining", "1 while it drains");
        let fine: ByCheck<Gauge> =
            metrics.register("check_fine", "1 while a check is fine", Family::default());
        let failures: ByCheck<Counter> = metrics.register(
            "check_failures",
            "How often a check was fine and then was not",
            Family::default(),
        );
        let (health, shutdown) = (self.clone(), shutdown.clone());
        metrics.before_encoding(move || {
            let drains = shutdown.is_draining() || health.draining.load(Ordering::Relaxed);
            draining.set(i64::from(drains));
            ready.set(i64::from(!drains && health.ready().is_ok()));
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

/// So many may ask for the metrics at once; the others are told to come again.
const SCRAPES_MAX: usize = 4;

/// Routes `/healthz` (the process lives), `/readyz` (it can do its work, and is not
/// draining) and `/metrics`; a role with an HTTP server of its own merges them.
pub fn router(metrics: Metrics, health: Health, tasks: &Tasks) -> Router {
    let places = Arc::new(Semaphore::new(SCRAPES_MAX));
    probes(health, tasks).route("/metrics", get(move || scrape(metrics, places)))
}

/// It reads files of the system and writes a long text, which is nothing for a thread that others wait for.
async fn scrape(metrics: Metrics, places: Arc<Semaphore>) -> Response {
    let Ok(place) = places.try_acquire_owned() else {
        let busy = "others ask for the metrics at the moment: ask again in a second\n";
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "1")],
            busy,
        )
            .into_response();
    };
    let text = tokio::task::spawn_blocking(move || {
        // Held to the end of the work, also if whoever asked is gone before.
        let _place = place;
        metrics.encode()
    });
    match text.await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// As [`router`], without `/metrics`: for a listener that strangers reach.
pub fn probes(health: Health, tasks: &Tasks) -> Router {
    let shutdown = tasks.shutdown().clone();
    Router::new().route("/healthz", get(|| async { "ok\n" })).route(
        "/readyz",
        get(move || {
            let draining = shutdown.is_draining() || health.draining.load(Ordering::Relaxed);
            let state = health.ready();
            async move { readiness(draining, state) }
        }),
    )
}

/// Serves [`router`] on `address` as a task until the drain is over, so that it can be seen; answers the address
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
    tasks.spawn_attending("health", async move {
        tokio::select! {
            served = async { axum::serve(listener, app).await } => Ok(served?),
            () = shutdown.killed() => Ok(()),
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

    #[tokio::test]
    async fn so_many_ask_for_the_metrics_at_once_and_no_thread_of_others_is_held_up() -> anyhow::Result<()> {
        let (tasks, health, metrics) = (Tasks::new(), Health::new(), Metrics::new("test"));
        // A look that takes until it is let go: this test runs on one thread, which goes on.
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (held, looks) = (Mutex::new(held), Arc::new(Semaphore::new(0)));
        let looking = Arc::clone(&looks);
        metrics.before_encoding(move || {
            looking.add_permits(1);
            let _ = held.lock().unwrap_or_else(PoisonError::into_inner).recv();
        });
        let address = serve(SocketAddr::from(([127, 0, 0, 1], 0)), metrics, health, &tasks).await?;
        let scrapes: Vec<_> = (0..SCRAPES_MAX)
            .map(|_| tokio::spawn(get(address, "/metrics")))
            .collect();
        for _ in 0..SCRAPES_MAX {
            looks.acquire().await?.forget();
        }
        assert!(get(address, "/metrics").await?.starts_with("HTTP/1.1 503"));
        assert!(get(address, "/healthz").await?.starts_with("HTTP/1.1 200"));
        drop(let_go);
        for scrape in scrapes {
            assert!(scrape.await??.starts_with("HTTP/1.1 200"));
        }
        assert!(get(address, "/metrics").await?.starts_with("HTTP/1.1 200"));
        tasks.stop(Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_drain_is_seen_until_it_is_over() -> anyhow::Result<()> {
        let (tasks, health, metrics) = (Tasks::new(), Health::new(), Metrics::new("test"));
        health.measure(&metrics, tasks.shutdown());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(any, metrics, health.clone(), &tasks).await?;
        let seen = async |drains: bool| -> anyhow::Result<()> {
            let (ready, metrics) = (get(address, "/readyz").await?, get(address, "/metrics").await?);
            let status = if drains { "HTTP/1.1 503" } else { "HTTP/1.1 200" };
            assert!(ready.starts_with(status), "{ready}");
            assert_eq!(ready.contains("draining"), drains, "{ready}");
            let line = format!("natterjack_draining{{role=\"test\"}} {}", u8::from(drains));
            assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
            Ok(())
        };
        // A role that is told to drain, and to serve again.
        for drains in [false, true, false] {
            health.set_draining(drains);
            seen(drains).await?;
        }
        // A process that ends, while something is still under way.
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("work", async move { Ok(released.await?) });
        let stopping = tokio::spawn({
            let tasks = tasks.clone();
            async move { tasks.stop(Duration::from_secs(60)).await }
        });
        tasks.shutdown().draining().await;
        seen(true).await?;
        release.send(()).expect("it waits");
        stopping.await??;
        assert!(TcpStream::connect(address).await.is_err(), "it is over");
        Ok(())
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
