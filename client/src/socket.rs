//! The WebSocket: how it is opened, with buffers that thousands in one process can afford.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use natterjack_nats::wire::{ClientFrame, ServerFrame};
use reqwest::Url;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};

use crate::error::ApiError;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The default of the library, 128 KiB each way and connection, is made for few connections.
const BUFFER_BYTES: usize = 4 * 1024;

/// Frames from a server: the largest are pages of history and the conversation list.
const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A server's address, checked.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    host: String,
    port: u16,
    socket_url: String,
}

impl Server {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let bad = || ApiError::BadAddress(text.to_owned());
        let mut url: Url = text.parse().map_err(|_| bad())?;
        let scheme = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            _ => return Err(bad()),
        };
        let port = url.port_or_known_default().ok_or_else(bad)?;
        // An IPv6 address stands in brackets in a URL, and without them in front of a resolver.
        let host = url
            .host_str()
            .ok_or_else(bad)?
            .trim_matches(['[', ']'])
            .to_owned();
        let path = format!("{}/v1/ws", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        let rest = url.as_str().split_once(':').ok_or_else(bad)?.1;
        let socket_url = format!("{scheme}:{rest}");
        Ok(Self {
            host,
            port,
            socket_url,
        })
    }
}

/// Opens the socket, or says in words why not.
pub(crate) async fn open(
    server: Server,
    local_addr: Option<IpAddr>,
    timeout: Duration,
) -> Result<Box<Socket>, String> {
    let opening = async {
        let stream = connect(&server, local_addr).await?;
        // Frames are small and people wait for them.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let answer = client_async_tls_with_config(&server.socket_url, stream, Some(config), None).await;
        let (socket, _) = answer.map_err(|error| handshake_error(&server, &error))?;
        Ok(Box::new(socket))
    };
    let late = |_| format!("{} did not answer in time", server.socket_url);
    tokio::time::timeout(timeout, opening)
        .await
        .unwrap_or_else(|elapsed| Err(late(elapsed)))
}

async fn connect(server: &Server, local_addr: Option<IpAddr>) -> Result<TcpStream, String> {
    let unreachable = |error: std::io::Error| format!("cannot reach {}: {error}", server.socket_url);
    let mut last = None;
    let addresses = lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(unreachable)?;
    for address in addresses {
        match connect_to(address, local_addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    let none = || std::io::Error::other("the name has no address");
    Err(unreachable(last.unwrap_or_else(none)))
}

async fn connect_to(address: SocketAddr, local_addr: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let Some(local_addr) = local_addr else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(local_addr, 0))?;
    socket.connect(address).await
}

fn handshake_error(server: &Server, error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) if response.status().as_u16() == 503 => {
            format!("{} takes no connections at the moment", server.socket_url)
        }
        tungstenite::Error::Http(response) => format!(
            "{} answered with HTTP status {}: is it a Natterjack edge?",
            server.socket_url,
            response.status().as_u16()
        ),
        other => format!("cannot open {}: {other}", server.socket_url),
    }
}

/// A frame as it goes over the socket.
pub(crate) fn encode(frame: &ClientFrame) -> Option<tungstenite::Message> {
    let json = serde_json::to_string(frame)
        .inspect_err(|error| tracing::error!(error = %error, "a frame could not be encoded"))
        .ok()?;
    Some(tungstenite::Message::text(json))
}

/// A frame from the socket; `None` for one that this version does not know.
pub(crate) fn decode(text: &str) -> Option<ServerFrame> {
    // The text itself is not logged: it may hold a message.
    serde_json::from_str(text)
        .inspect_err(|error| tracing::debug!(error = %error, "a frame was not understood and is ignored"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket_url(text: &str) -> Option<String> {
        Server::parse(text).ok().map(|server| server.socket_url)
    }

    #[test]
    fn an_address_leads_to_its_socket() {
        let cases = [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/ws"),
            ("http://127.0.0.1:8080/", "ws://127.0.0.1:8080/v1/ws"),
            ("https://chat.example.org", "wss://chat.example.org/v1/ws"),
            ("https://example.org/chat/?a=b#c", "wss://example.org/chat/v1/ws"),
            ("ws://[::1]:9000", "ws://[::1]:9000/v1/ws"),
        ];
        for (text, expected) in cases {
            assert_eq!(socket_url(text).as_deref(), Some(expected));
        }
        for text in ["", "127.0.0.1:8080", "ftp://example.org", "http://", "nonsense"] {
            assert_eq!(socket_url(text), None, "{text}");
        }
    }
}
