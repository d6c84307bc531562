//! From an address to a connection that is let in: TCP, INFO, TLS where it is asked for, CONNECT,
//! and the PONG that proves that the server has nothing against us.

use std::{io, sync::Arc, time::Duration};

use async_nats::{
    ConnectInfo, Protocol, ServerAddr, ServerInfo,
    rustls::{ClientConfig, pki_types::ServerName},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::BytesMut;
use natterjack_nats::cluster::{NatsAuth, Trust};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::parse::{Frame, ParseError, parse};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(5);
/// What is read at a time.
pub(super) const READ_BYTES: usize = 64 << 10;

/// A connection of either kind.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A server that let us in.
pub(super) struct Connected {
    pub(super) server: ServerAddr,
    pub(super) socket: Box<dyn Socket>,
    /// What came already.
    pub(super) bytes: BytesMut,
    pub(super) info: ServerInfo,
}

/// Why a server did not.
#[derive(Debug, thiserror::Error)]
pub(in crate::live) enum ConnectError {
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    #[error("no answer within {} s", LIMIT.as_secs())]
    Timeout,
    #[error("what answers is no NATS server: {0}")]
    Parse(#[from] ParseError),
    #[error("what answers is no NATS server: {0}")]
    Info(String),
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("TLS: {0}")]
    Tls(String),
}

/// How to connect.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    /// As operators see it in `nats server report connections`.
    pub(super) name: String,
    pub(super) auth: NatsAuth,
    /// Whom to trust.
    pub(super) trust: Trust,
    /// Nothing but TLS will do, whatever a server says.
    pub(super) insists_on_tls: bool,
    /// What follows from `trust`, once it was needed first.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// Connects to one server.
    pub(super) async fn connect(&mut self, server: &ServerAddr) -> Result<Connected, ConnectError> {
        timeout(LIMIT, self.try_connect(server))
            .await
            .map_err(|_| ConnectError::Timeout)?
    }

    async fn try_connect(&mut self, server: &ServerAddr) -> Result<Connected, ConnectError> {
        let socket = TcpStream::connect((server.host(), server.port())).await?;
        socket.set_nodelay(true)?;
        let mut socket: Box<dyn Socket> = Box::new(socket);
        let mut bytes = BytesMut::new();
        let info = loop {
            if let Some((Frame::Info(json), used)) = parse(&bytes, 0)? {
                let info: ServerInfo =
                    serde_json::from_slice(json).map_err(|error| ConnectError::Info(error.to_string()))?;
                bytes = bytes.split_off(used);
                break info;
            }
            read(&mut socket, &mut bytes).await?;
        };
        if info.tls_required || self.insists_on_tls || server.tls_required() {
            if !bytes.is_empty() {
                // Somebody between could have put it there.
                return Err(ConnectError::Tls("the server spoke on before TLS".into()));
            }
            socket = Box::new(self.encrypt(server, socket).await?);
        }
        let greeting = self.greeting(server, &info)?;
        socket.write_all(greeting.as_bytes()).await?;
        socket.flush().await?;
        loop {
            while let Some((frame, used)) = parse(&bytes, 0)? {
                let (welcome, refused) = (frame == Frame::Pong, refusal(frame));
                bytes = bytes.split_off(used);
                if let Some(reason) = refused {
                    return Err(ConnectError::Refused(reason));
                }
                if welcome {
                    return Ok(Connected {
                        server: server.clone(),
                        socket,
                        bytes,
                        info,
                    });
                }
            }
            read(&mut socket, &mut bytes).await?;
        }
    }

    fn greeting(&self, server: &ServerAddr, info: &ServerInfo) -> Result<String, ConnectError> {
        let auth = self.auth.answer(info.nonce.as_bytes());
        let auth = auth.map_err(|error| ConnectError::Refused(format!("our key cannot sign: {error}")))?;
        let options = ConnectInfo {
            verbose: false,
            pedantic: false,
            user_jwt: auth.jwt,
            nkey: auth.nkey,
            signature: auth.signature.map(|signature| URL_SAFE_NO_PAD.encode(signature)),
            name: Some(self.name.clone()),
            echo: true,
            lang: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: Protocol::Dynamic,
            tls_required: self.insists_on_tls || server.tls_required(),
            user: auth.username,
            pass: auth.password,
            auth_token: auth.token,
            headers: true,
            no_responders: false,
        };
        let options =
            serde_json::to_string(&options).map_err(|error| ConnectError::Info(error.to_string()))?;
        Ok(format!("CONNECT {options}\r\nPING\r\n"))
    }

    async fn encrypt(
        &mut self,
        server: &ServerAddr,
        socket: Box<dyn Socket>,
    ) -> Result<impl Socket + use<>, ConnectError> {
        let failed = |error: &dyn std::fmt::Display| ConnectError::Tls(error.to_string());
        let config = match &self.tls {
            Some(config) => Arc::clone(config),
            None => {
                let trust = self.trust.clone();
                let config = tokio::task::spawn_blocking(move || trust.client_config());
                let config = config.await.map_err(|error| failed(&error))?;
                Arc::clone(self.tls.insert(Arc::new(config)))
            }
        };
        let name = ServerName::try_from(server.host().to_owned()).map_err(|error| failed(&error))?;
        TlsConnector::from(config)
            .connect(name, socket)
            .await
            .map_err(|error| failed(&error))
    }
}

fn refusal(frame: Frame<'_>) -> Option<String> {
    match frame {
        Frame::Error(reason) => Some(reason.to_owned()),
        _ => None,
    }
}

async fn read(socket: &mut Box<dyn Socket>, bytes: &mut BytesMut) -> Result<(), ConnectError> {
    bytes.reserve(4 << 10);
    match socket.read_buf(bytes).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Ok(()),
    }
}
