//! A proxy that speaks enough of the NATS protocol to lose chosen messages on their way to a
//! client, to hold up what a client says, and to cut its connection: what a slow consumer or a broken
//! network does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use natterjack_nats::{Conversation, headers, subjects};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, watch},
};

/// A message on its way to a client.
pub struct Passing<'a> {
    /// Name of the client, as it introduced itself.
    pub client: &'a str,
    /// Subject of the message.
    pub subject: &'a str,
    /// Its headers and payload.
    body: &'a [u8],
}

impl Passing<'_> {
    /// Whether it is a stored message of this conversation, on its way to those who are there: not typing, and not
    /// what is told of receipts, on the same subject.
    pub fn is_message_of(&self, conversation: &Conversation) -> bool {
        self.client.ends_with(" live")
            && self.subject == subjects::live::subject(conversation)
            && headers::scan(self.body).position.is_some()
    }
}

type Swallow = Box<dyn FnMut(&Passing<'_>) -> bool + Send>;

#[derive(Default)]
struct State {
    swallow: Option<Swallow>,
    /// Whoever connects is turned away.
    closed: bool,
    swallowed: usize,
    connections: Vec<Arc<Connection>>,
}

#[derive(Default)]
struct Connection {
    name: Mutex<String>,
    cut: Notify,
    /// What the client said and the server has not been told yet.
    waiting: Mutex<Vec<u8>>,
}

/// The proxy; it ends with the test's runtime.
#[derive(Clone)]
pub struct Proxy {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    /// Clients whose name ends like this are held up.
    held: Arc<watch::Sender<Option<&'static str>>>,
}

impl Proxy {
    pub async fn start(nats_url: &str) -> anyhow::Result<Self> {
        let upstream = nats_url.strip_prefix("nats://").context("a NATS URL")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            address: listener.local_addr()?,
            state: Arc::default(),
            held: Arc::new(watch::Sender::new(None)),
        };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if accepting.state().closed {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&upstream).await else {
                    continue;
                };
                tokio::spawn(accepting.clone().serve(client, server));
            }
        });
        Ok(proxy)
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// From now on, messages for which `which` says so are lost.
    pub fn swallow(&self, which: impl FnMut(&Passing<'_>) -> bool + Send + 'static) {
        self.state().swallow = Some(Box::new(which));
    }

    /// From now on, nothing is lost; how many were.
    pub fn pass_all(&self) -> usize {
        let mut state = self.state();
        state.swallow = None;
        std::mem::take(&mut state.swallowed)
    }

    /// How many messages were lost so far.
    pub fn swallowed(&self) -> usize {
        self.state().swallowed
    }

    /// Cuts the connections of clients whose name ends like this; how many there were.
    pub fn cut(&self, suffix: &str) -> usize {
        let state = self.state();
        let named = state
            .connections
            .iter()
            .filter(|connection| lock(&connection.name).ends_with(suffix));
        named.map(|connection| connection.cut.notify_one()).count()
    }

    /// Turns away whoever connects from now on, or no longer does.
    pub fn close(&self, closed: bool) {
        self.state().closed = closed;
    }

    /// From now on, what clients whose name ends like this say does not arrive; they hear as before.
    pub fn hold(&self, suffix: &'static str) {
        self.held.send_replace(Some(suffix));
    }

    /// Lets everything go that is held up, in its order.
    pub fn let_go(&self) {
        self.held.send_replace(None);
    }

    /// Whether something that contains `text` is held up.
    pub fn holds(&self, text: &str) -> bool {
        let contains = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let state = self.state();
        state
            .connections
            .iter()
            .any(|connection| contains(&lock(&connection.waiting)))
    }

    async fn serve(self, client: TcpStream, server: TcpStream) {
        let connection = Arc::new(Connection::default());
        self.state().connections.push(Arc::clone(&connection));
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            _ = self.up(from_client, to_server, &connection) => {}
            _ = self.down(from_server, to_client, &connection) => {}
            () = connection.cut.notified() => {}
        }
        self.state()
            .connections
            .retain(|other| !Arc::ptr_eq(other, &connection));
    }

    /// From the server to the client, message by message.
    async fn down(
        &self,
        from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        connection: &Connection,
    ) -> anyhow::Result<()> {
        let mut from = BufReader::with_capacity(64 * 1024, from);
        loop {
            let mut frame = line(&mut from).await?;
            let words: Vec<String> = String::from_utf8_lossy(&frame)
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let body_start = frame.len();
            if let Some("MSG" | "HMSG") = words.first().map(String::as_str) {
                let length: usize = words.last().context("a length")?.parse()?;
                frame.resize(body_start + length + 2, 0);
                from.read_exact(&mut frame[body_start..]).await?;
                let name = lock(&connection.name).clone();
                if self.is_lost(&Passing {
                    client: &name,
                    subject: &words[1],
                    body: &frame[body_start..],
                }) {
                    continue;
                }
            }
            to.write_all(&frame).await?;
        }
    }

    /// From the client to the server: the first line tells the name, the rest passes as it is, when
    /// it is not held up.
    async fn up(
        &self,
        from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        connection: &Connection,
    ) -> anyhow::Result<()> {
        let mut from = BufReader::new(from);
        let connect = line(&mut from).await?;
        let options = connect
            .strip_prefix(b"CONNECT ")
            .context("a client connects first")?;
        let options: serde_json::Value = serde_json::from_slice(options)?;
        let name = options["name"].as_str().unwrap_or_default().to_owned();
        lock(&connection.name).clone_from(&name);
        to.write_all(&connect).await?;
        let (mut held, mut open) = (self.held.subscribe(), true);
        loop {
            let waits = held
                .borrow_and_update()
                .is_some_and(|suffix| name.ends_with(suffix));
            if !waits {
                let bytes = std::mem::take(&mut *lock(&connection.waiting));
                to.write_all(&bytes).await?;
                if !open {
                    return Ok(());
                }
            }
            tokio::select! {
                changed = held.changed() => changed?,
                // What was said before the end still arrives.
                chunk = from.fill_buf(), if open => {
                    let chunk = chunk?;
                    let length = chunk.len();
                    lock(&connection.waiting).extend_from_slice(chunk);
                    from.consume(length);
                    open = length > 0;
                }
            }
        }
    }

    fn is_lost(&self, passing: &Passing<'_>) -> bool {
        let mut state = self.state();
        let lost = state.swallow.as_mut().is_some_and(|swallow| swallow(passing));
        state.swallowed += usize::from(lost);
        lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).await?;
    anyhow::ensure!(line.ends_with(b"\n"), "the connection ended");
    Ok(line)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
