//! Clients that come back: bare sockets that say where they were and listen until all is there.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use natterjack_client::Account;
use natterjack_nats::{
    Conversation,
    wire::{ClientFrame, Hello, WireError},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

const PATIENCE: Duration = Duration::from_secs(120);
const MESSAGE: &str = "\"type\":\"message\"";
const RESUMED: &str = "\"type\":\"resumed\"";
const ERROR: &str = "\"type\":\"error\"";
const TRUNCATED: &str = "\"type\":\"truncated\"";
/// Between two tries where the server names no pause.
const PAUSE_MS: u64 = 500;

/// Who comes back.
pub struct Returning {
    /// To which edge.
    pub url: String,
    /// As whom.
    pub account: Account,
    /// What it has.
    pub cursors: BTreeMap<Conversation, u64>,
    /// How many messages it missed.
    pub missed: usize,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub struct Back {
    /// From the moment when all set out until it was whole.
    pub took: Duration,
    /// Messages that came.
    pub messages: usize,
    /// Bytes of all frames.
    pub bytes: usize,
    /// How often it was told to come again later before.
    pub turned_away: usize,
}

/// All at once; each stays connected until the last is whole.
pub async fn come_back(who: &[Arc<Returning>], tokens: Vec<String>) -> anyhow::Result<Vec<Back>> {
    let (leave, left) = watch::channel(());
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    let (tell, mut told) = tokio::sync::mpsc::channel(who.len().max(1));
    for (one, token) in who.iter().zip(tokens) {
        let (one, tell, mut left) = (Arc::clone(one), tell.clone(), left.clone());
        under_way.spawn(async move {
            let socket = timeout(PATIENCE, back(&one, token, begun))
                .await
                .context("a client did not get whole")?;
            let (back, mut socket) = socket?;
            let _ = tell.send(back).await;
            drop(tell);
            // Ends with the channel.
            let _ = left.changed().await;
            socket.close(None).await?;
            anyhow::Ok(())
        });
    }
    drop(tell);
    let mut all = Vec::new();
    while let Some(back) = told.recv().await {
        all.push(back);
        if all.len() == who.len() {
            break;
        }
    }
    drop(leave);
    while let Some(ended) = under_way.join_next().await {
        ended??;
    }
    anyhow::ensure!(all.len() == who.len(), "not all clients came back");
    Ok(all)
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Comes back, as often as it is told to come again later.
async fn back(one: &Returning, token: String, begun: Instant) -> anyhow::Result<(Back, Socket)> {
    let hello = ClientFrame::Hello(Box::new(Hello {
        token,
        device: None,
        client: "bench".into(),
        resume: Some(one.cursors.clone()),
        active: true,
    }));
    let hello = serde_json::to_string(&hello)?;
    let mut turned_away = 0;
    loop {
        match once(one, &hello).await? {
            Outcome::Whole {
                messages,
                bytes,
                socket,
            } => {
                let back = Back {
                    took: begun.elapsed(),
                    messages,
                    bytes,
                    turned_away,
                };
                return Ok((back, *socket));
            }
            Outcome::Later(pause) => {
                turned_away += 1;
                sleep(pause).await;
            }
        }
    }
}

enum Outcome {
    Whole {
        messages: usize,
        bytes: usize,
        socket: Box<Socket>,
    },
    Later(Duration),
}

async fn once(one: &Returning, hello: &str) -> anyhow::Result<Outcome> {
    let url = format!("{}/v1/ws", one.url.replacen("http", "ws", 1));
    let (mut socket, _) = connect_async(url).await?;
    socket.send(Message::text(hello)).await?;
    let (mut messages, mut bytes) = (0, 0);
    while let Some(frame) = socket.next().await {
        let Message::Text(frame) = frame? else { continue };
        bytes += frame.len();
        if frame.contains(MESSAGE) {
            messages += 1;
        } else if frame.contains(RESUMED) {
            let socket = Box::new(socket);
            return Ok(Outcome::Whole {
                messages,
                bytes,
                socket,
            });
        } else if frame.contains(ERROR) {
            let error: WireError = serde_json::from_str(&frame)?;
            anyhow::ensure!(error.retryable && messages == 0, "a client was told: {frame}");
            return Ok(Outcome::Later(Duration::from_millis(
                error.retry_after_ms.unwrap_or(PAUSE_MS),
            )));
        } else if frame.contains(TRUNCATED) {
            bail!("a client was told: {frame}");
        }
    }
    bail!("a connection was lost before it was whole")
}
