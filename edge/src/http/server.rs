//! The listener: every connection has a slot, and the head of a request must arrive in time, so
//! that those who connect and say nothing are bounded in number and time.

use std::{io, io::Write, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use natterjack_nats::wire::{Code, WireError};
use natterjack_runtime::lifecycle::Shutdown;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OwnedSemaphorePermit,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tower::ServiceExt;

use super::{patience::Patient, tls::Tls, transport::Transport};
use crate::app::App;

/// How long requests that are under way may take when the edge drains.
const DRAIN: Duration = Duration::from_secs(3);
/// What a connection may send of a request's head, and what waits in its buffers: room for the
/// largest token that is looked at.
const BUFFER_BYTES_MAX: usize = 32 << 10;
/// Pause after an error of the listener: without file descriptors, the next try fails as well.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A connection's place on this edge, which a WebSocket keeps for as long as it lives.
#[derive(Debug, Clone)]
pub struct Slot(#[expect(dead_code, reason = "held, never looked at")] Arc<OwnedSemaphorePermit>);

/// Serves until the edge drains; then requests that are under way may end.
pub(crate) async fn serve(app: &App, listener: TcpListener, tls: Option<Tls>, router: Router) {
    let shutdown = app.tasks.shutdown();
    let times = Times {
        header: Duration::from_millis(app.args.socket.header_timeout_ms),
        write: Duration::from_millis(app.args.socket.write_timeout_ms),
    };
    // Within TLS there is nothing that could be said before hands are shaken.
    let refusal = if tls.is_some() { Vec::new() } else { refusal() };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                complain(&ended);
                continue;
            }
            () = shutdown.draining() => break,
        };
        match accepted {
            Ok((socket, address)) => match Arc::clone(&app.slots).try_acquire_owned() {
                Ok(permit) => {
                    let (slot, router) = (Slot(Arc::new(permit)), router.clone());
                    let (tls, shutdown) = (tls.clone(), shutdown.clone());
                    connections.spawn(async move {
                        if let Some(transport) = transport(socket, tls, times, &shutdown).await {
                            connection(transport, address, slot, router, times, shutdown).await;
                        }
                    });
                }
                Err(_) => refuse(socket, &refusal),
            },
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken; is the limit of open files too low?");
                tokio::select! {
                    () = sleep(ACCEPT_PAUSE) => {}
                    () = shutdown.draining() => {}
                }
            }
        }
    }
    drop(listener);
    let all = async {
        while let Some(ended) = connections.join_next().await {
            complain(&ended);
        }
    };
    // Half a request may never become a whole one: those are cut off.
    tokio::select! {
        _ = timeout(DRAIN, all) => {}
        () = shutdown.killed() => {}
    }
}

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// For the head of its next request, and for shaking hands.
    header: Duration,
    /// To take the next bytes of an answer.
    write: Duration,
}

/// The connection as requests come over it; `None` if the client does not shake hands in time.
async fn transport(
    socket: TcpStream,
    tls: Option<Tls>,
    times: Times,
    shutdown: &Shutdown,
) -> Option<Transport> {
    // Acks are small and must not wait for more to fill a segment.
    let _ = socket.set_nodelay(true);
    let socket = Patient::new(socket, times.write);
    let Some(tls) = tls else {
        return Some(Transport::Plain(socket));
    };
    let shaken = tokio::select! {
        shaken = timeout(times.header, tls.acceptor().accept(socket)) => shaken,
        () = shutdown.killed() => return None,
    };
    match shaken {
        Ok(Ok(stream)) => Some(Transport::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client did not shake hands");
            None
        }
        Err(_) => None,
    }
}

async fn connection(
    transport: Transport,
    address: SocketAddr,
    slot: Slot,
    router: Router,
    times: Times,
    shutdown: Shutdown,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(address));
        request.extensions_mut().insert(slot.clone());
        router.clone().oneshot(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(times.header)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(transport), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.draining() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

/// Says so where there is no slot left, without waiting for the client.
fn refuse(socket: TcpStream, refusal: &[u8]) {
    // Whoever does not take a few hundred bytes at once learns it from the end of the connection.
    let _ = socket.into_std().and_then(|mut socket| socket.write(refusal));
}

fn refusal() -> Vec<u8> {
    let error = WireError::new(Code::Overloaded, "this server holds all the connections it can");
    let body = serde_json::to_string(&error.retry_after_ms(5_000)).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Errors of `accept` that say nothing about the next one.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// A handler that panics takes its connection with it and nothing else, but not in silence.
fn complain(ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request handler panicked");
    }
}
