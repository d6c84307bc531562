//! The baseline of fan-outs: bare WebSockets to bare gateways, and messages published to JetStream
//! by a bare client.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::{
    raw::Raw,
    ring::Ring,
    stage::{Stage, Tally},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// As large as the Rust client's.
const BUFFER_BYTES: usize = 4 * 1_024;
const TEXT: &str = "\"text\":\"";

/// A socket that hears a subject.
pub struct Listener(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Listener {
    /// Connects, and waits until everything that is published from now on is heard.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn connect(gateway_url: &str, subject: &str) -> anyhow::Result<Self> {
        let url = format!("{}/{subject}", gateway_url.replacen("http", "ws", 1));
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES);
        let (mut socket, _) = connect_async_with_config(url, Some(config), true).await?;
        match timeout(PATIENCE, socket.next())
            .await
            .context("a bare socket did not open")?
        {
            Some(Ok(Message::Text(_))) => Ok(Self(socket)),
            other => bail!("a bare socket did not open: {other:?}"),
        }
    }

    /// Counts what comes, until all that was sent is there.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn listen(mut self, ring: Ring, stage: Stage) -> anyhow::Result<Tally> {
        let mut tally = Tally::new(&stage)?;
        let finished = ring.finished();
        tokio::pin!(finished);
        loop {
            let message = tokio::select! {
                () = &mut finished => return Ok(tally),
                message = timeout(PATIENCE, self.0.next()) => message.context("nothing arrives any more")?,
            };
            let Some(Message::Text(frame)) = message.transpose()? else {
                bail!("a bare connection was lost")
            };
            // It is not decoded: a bare client would know where to look.
            let text = frame.find(TEXT).map(|at| &frame[at + TEXT.len()..]);
            if let Some(latency) = text.and_then(|text| ring.arrived(text)) {
                tally.done(latency);
            }
        }
    }
}

/// Publishes whatever the ring says, until there is nothing more.
///
/// # Errors
/// A stream refuses.
pub async fn publish(
    raw: Raw,
    ring: Ring,
    mut turns: mpsc::Receiver<usize>,
    stage: Stage,
) -> anyhow::Result<Tally> {
    let tally = Tally::new(&stage)?;
    let mut publishing = FuturesUnordered::new();
    let finished = ring.finished();
    tokio::pin!(finished);
    loop {
        tokio::select! {
            () = &mut finished => return Ok(tally),
            Some(done) = publishing.next() => { let () = done?; }
            Some(place) = turns.recv() => {
                if let Some(text) = ring.begin(place) {
                    let raw = &raw;
                    publishing.push(async move { raw.publish(place, &text).await });
                }
            }
        }
    }
}
