//! A WebSocket to an edge without the patience of the client library: it connects once, says hello,
//! and hands over every frame as it comes. What becomes of a connection is then the server's doing.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::{SinkExt as _, StreamExt as _};
use natterjack_nats::wire::{ClientFrame, Hello, Ready, ServerFrame};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// Connecting, and the answer to hello, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Thousands of them are in one process.
const BUFFER_BYTES: usize = 1_024;

/// A connection that is ready; dropping it is a client that vanishes.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    ready: Box<Ready>,
}

impl Socket {
    /// Connects to the edge at `url` (`http://<address>:<port>`) with an access token, in the
    /// foreground or not.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn open(url: &str, token: &str, active: bool) -> anyhow::Result<Self> {
        timeout(PATIENCE, Self::connect(url, token, active))
            .await
            .with_context(|| format!("{url} took longer than {PATIENCE:?} to say ready"))?
    }

    async fn connect(url: &str, token: &str, active: bool) -> anyhow::Result<Self> {
        let address = url
            .strip_prefix("http://")
            .with_context(|| format!("{url} is not http://…"))?;
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0);
        let (mut stream, _) =
            client_async_with_config(format!("ws://{address}/v1/ws"), tcp, Some(config)).await?;
        let hello = ClientFrame::Hello(Box::new(Hello {
            token: token.to_owned(),
            device: None,
            client: "test".into(),
            resume: None,
            active,
        }));
        stream.send(Message::text(serde_json::to_string(&hello)?)).await?;
        match next(&mut stream).await? {
            ServerFrame::Ready(ready) => Ok(Self { stream, ready }),
            other => bail!("not ready but {other:?}"),
        }
    }

    /// What the edge said first.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Says something.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn say(&mut self, frame: &ClientFrame) -> anyhow::Result<()> {
        let text = serde_json::to_string(frame)?;
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// The next frame. Pings are answered on the way.
    ///
    /// # Errors
    /// The connection is lost, or the edge closed it: the message tells the code.
    pub async fn next(&mut self) -> anyhow::Result<ServerFrame> {
        next(&mut self.stream).await
    }

    /// Ends it in good order.
    pub async fn close(mut self) {
        // An edge that is gone already needs no goodbye.
        let _ = timeout(PATIENCE, async {
            if self.stream.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        })
        .await;
    }
}

async fn next(stream: &mut WebSocketStream<TcpStream>) -> anyhow::Result<ServerFrame> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text)?),
            Some(Ok(Message::Close(close))) => {
                let code = close.map_or(0, |close| u16::from(close.code));
                bail!("closed by the edge with {code}");
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => bail!("the connection is lost"),
        }
    }
}
