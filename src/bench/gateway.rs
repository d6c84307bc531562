//! The bare gateway: a process that writes what a NATS subject carries to WebSockets, as it comes.
//!
//! It knows no users, no order and no limits. What Natterjack's edge costs beyond it is what the
//! chat costs.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use async_nats::Client;
use axum::{
    Router,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    response::Response,
    routing::get,
    serve::ListenerExt,
};
use futures::{SinkExt, StreamExt};
use natterjack_nats::cluster;
use tokio::{net::TcpListener, sync::mpsc};

/// Frames that wait for one socket; then NATS waits.
const QUEUE: usize = 1_024;
/// Frames that are written with one flush.
const BATCH: usize = 128;
/// As small as the edge's, which is made for many sockets.
const READ_BUFFER_BYTES: usize = 4_096;

/// Options of the gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The NATS server
    #[arg(long, value_name = "URL")]
    nats_url: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
}

type Sockets = Arc<Mutex<Vec<mpsc::Sender<Utf8Bytes>>>>;

#[derive(Clone)]
struct Gateway {
    nats: Client,
    subjects: Arc<Mutex<HashMap<String, Sockets>>>,
}

/// Runs it until it is killed.
///
/// # Errors
/// NATS does not answer, or the address is taken.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let nats = cluster::connect(&args.nats_url, "natterjack bench gateway", |_| {}).await?;
    let gateway = Gateway {
        nats,
        subjects: Arc::default(),
    };
    let router = Router::new()
        .route("/readyz", get(|| async { "ready" }))
        .route("/{subjects}", get(upgrade));
    let listener = TcpListener::bind(args.listen).await?.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    Ok(axum::serve(listener, router.with_state(gateway)).await?)
}

async fn upgrade(
    State(gateway): State<Gateway>,
    Path(subjects): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(move |socket| async move {
            let (sender, frames) = mpsc::channel(QUEUE);
            for subject in subjects.split(',') {
                if gateway.join(subject.to_owned(), sender.clone()).await.is_err() {
                    return;
                }
            }
            drop(sender);
            write(socket, frames).await;
        })
}

impl Gateway {
    /// The first socket of a subject subscribes to it.
    async fn join(&self, subject: String, socket: mpsc::Sender<Utf8Bytes>) -> anyhow::Result<()> {
        {
            let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sockets) = subjects.get(&subject) {
                sockets
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(socket);
                return Ok(());
            }
            subjects.insert(subject.clone(), Arc::new(Mutex::new(vec![socket])));
        }
        let mut messages = self.nats.subscribe(subject.clone()).await?;
        // The server has it before the socket is told that it is open.
        self.nats.flush().await?;
        let subjects = Arc::clone(&self.subjects);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let Ok(frame) = Utf8Bytes::try_from(message.payload) else {
                    continue;
                };
                let sockets = subjects
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(&subject)
                    .cloned();
                let sockets =
                    sockets.map(|sockets| sockets.lock().unwrap_or_else(PoisonError::into_inner).clone());
                for socket in sockets.unwrap_or_default() {
                    // One that went away needs nothing.
                    let _ = socket.send(frame.clone()).await;
                }
            }
        });
        Ok(())
    }
}

async fn write(mut socket: WebSocket, mut frames: mpsc::Receiver<Utf8Bytes>) {
    // Whoever connects waits for it, so that nothing is sent before.
    if socket.send(Message::text("open")).await.is_err() {
        return;
    }
    let mut batch = Vec::with_capacity(BATCH);
    while frames.recv_many(&mut batch, BATCH).await > 0 {
        for frame in batch.drain(..) {
            if socket.feed(Message::Text(frame)).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}
