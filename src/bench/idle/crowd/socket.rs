//! One client that connects and then only listens. The library answers pings as it reads.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpSocket, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

/// As patient as the client library.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);
/// Ten thousand of them are in one process.
const BUFFER_BYTES: usize = 1_024;
/// A source address has some 28,000 ports, and those of closed connections rest for a minute.
const CLIENTS_PER_ADDRESS: usize = 4_000;

/// Why there is no connection.
#[derive(Debug)]
pub struct Refused {
    /// In a few words.
    pub reason: String,
    /// When to come back.
    pub retry_after: Duration,
}

impl<T: Into<String>> From<T> for Refused {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.into(),
            retry_after: Duration::ZERO,
        }
    }
}

/// A connection that is ready.
pub struct Socket(WebSocketStream<tokio::net::TcpStream>);

impl Socket {
    /// Connects, says hello if there is one, and waits for the first frame.
    ///
    /// # Errors
    /// In a few words, the same for the same reason; with when to come back, if that was told.
    pub async fn open(
        address: SocketAddr,
        number: usize,
        path: &str,
        hello: Option<&str>,
    ) -> Result<Self, Refused> {
        let connecting = async {
            let socket = TcpSocket::new_v4().map_err(|error| format!("socket: {}", error.kind()))?;
            if address.ip().is_loopback() {
                socket
                    .bind(SocketAddr::new(source(number), 0))
                    .map_err(|error| format!("bind: {}", error.kind()))?;
            }
            let stream = socket
                .connect(address)
                .await
                .map_err(|error| format!("connect: {}", error.kind()))?;
            let _ = stream.set_nodelay(true);
            let config = WebSocketConfig::default()
                .read_buffer_size(BUFFER_BYTES)
                .write_buffer_size(0);
            let url = format!("ws://{address}{path}");
            client_async_with_config(url, stream, Some(config))
                .await
                .map_err(|error| handshake(&error))
        };
        let (mut socket, _) = timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| "handshake: timeout")??;
        let greeting = async {
            if let Some(hello) = hello {
                let sent = socket.send(Message::text(hello)).await;
                sent.map_err(|_| "hello: connection lost")?;
            }
            match socket.next().await {
                Some(Ok(Message::Text(frame))) if frame.starts_with("{\"type\":\"error\"") => {
                    Err(refusal(&frame))
                }
                Some(Ok(Message::Text(_))) => Ok(()),
                Some(Ok(Message::Close(Some(close)))) => Err(format!("hello: closed {}", close.code).into()),
                _ => Err("hello: connection lost".into()),
            }
        };
        timeout(HELLO_TIMEOUT, greeting)
            .await
            .map_err(|_| "hello: timeout")??;
        Ok(Self(socket))
    }

    /// Reads until it is lost.
    pub async fn hold(mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

/// Where a client comes from. Only Linux has all of 127.0.0.0/8 without being asked to.
fn source(number: usize) -> IpAddr {
    if !cfg!(target_os = "linux") {
        return IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    let index = u8::try_from(number / CLIENTS_PER_ADDRESS).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, index.saturating_add(1)))
}

fn handshake(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => format!("handshake: {}", response.status()),
        _ => "handshake: connection lost".to_owned(),
    }
}

fn refusal(frame: &str) -> Refused {
    let frame: serde_json::Value = serde_json::from_str(frame).unwrap_or_default();
    Refused {
        reason: format!("hello: {}", frame["code"].as_str().unwrap_or("error")),
        retry_after: Duration::from_millis(frame["retry_after_ms"].as_u64().unwrap_or_default()),
    }
}
