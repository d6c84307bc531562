//! Whether a role is ready, as named checks that its parts set, and the small HTTP
//! server that roles without an HTTP interface of their own answer probes with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::lifecycle::Tasks;
use crate::metrics::{self, Metrics};

/// Named checks of one role; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Result<(), String>>>>,
}

impl Health {
    /// No check yet, which counts as ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a check: fine, or the reason why not.
    pub fn set(&self, name: impl Into<String>, state: Result<(), String>) {
        self.lock().insert(name.into(), state);
    }

    /// Fine, or every failing check with its reason.
    pub fn ready(&self) -> Result<(), Vec<(String, String)>> {
        let failing: Vec<_> = self
            .lock()
            .iter()
            .filter_map(|(name, state)| Some((name.clone(), state.as_ref().err()?.clone())))
            .collect();
        if failing.is_empty() { Ok(()) } else { Err(failing) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Result<(), String>>> {
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
}
