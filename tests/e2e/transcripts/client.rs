//! The Rust client against a server that reads the server's lines.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use natterjack_client::{
    AccessToken, Client, Config, Draft, Event, Events, RequestError, SendFailure, TokenFuture, TokenSource,
};
use natterjack_nats::{Conversation, wire::Page};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

use super::script::{Done, Script, Step, Vars};
use crate::support::within;

/// Frames that a client may send whenever it likes; those that no line asks for are passed over.
const FREE: [&str; 6] = ["receipt", "typing", "active", "watch", "ping", "conversations"];

type Stream = WebSocketStream<TcpStream>;

/// Gives the tokens of the transcript one after the other; the last one again and again.
struct Tokens(Mutex<VecDeque<String>>);

impl TokenSource for Tokens {
    fn token(&self, _fresh: bool) -> TokenFuture<'_> {
        let mut tokens = self.0.lock().expect("no panic while it is held");
        let token = if tokens.len() > 1 {
            tokens.pop_front()
        } else {
            tokens.front().cloned()
        };
        let token = token.unwrap_or_default();
        Box::pin(std::future::ready(Ok(AccessToken {
            token,
            expires_at: None,
        })))
    }
}

/// Everything of one play.
struct Player {
    vars: Vars,
    tokens: Arc<Tokens>,
    edges: Vec<String>,
    connections: mpsc::Receiver<(String, Stream)>,
    stream: Option<Stream>,
    /// Connections over which nothing passes any more.
    frozen: Vec<Stream>,
    client: Option<(Client, Events)>,
    messages: VecDeque<Value>,
    others: Vec<Event>,
    page: Option<JoinHandle<Result<Page, RequestError>>>,
}

pub async fn play(script: Script) -> anyhow::Result<()> {
    let (sender, connections) = mpsc::channel(16);
    let mut vars = script.vars;
    let mut edges = Vec::new();
    for name in ["edge1", "edge2"] {
        let url = listen(sender.clone()).await?;
        vars.set(name, url.clone());
        edges.push(url);
    }
    let tokens = script.steps.iter().filter_map(|step| match step {
        Step::Token(token) => vars.fill(token).ok()?.as_str().map(str::to_owned),
        _ => None,
    });
    let mut player = Player {
        tokens: Arc::new(Tokens(Mutex::new(tokens.collect()))),
        vars,
        edges,
        connections,
        stream: None,
        frozen: Vec::new(),
        client: None,
        messages: VecDeque::new(),
        others: Vec::new(),
        page: None,
    };
    for (index, step) in script.steps.iter().enumerate() {
        let what = || format!("{}, step {}: {step:?}", script.title, index + 1);
        player.step(step).await.with_context(what)?;
    }
    ensure!(
        player.connections.try_recv().is_err(),
        "{}: it connects once more",
        script.title
    );
    Ok(())
}

/// A server of WebSockets; whoever asks for anything else learns that it is away.
async fn listen(connections: mpsc::Sender<(String, Stream)>) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let here = url.clone();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let (connections, here) = (connections.clone(), here.clone());
            tokio::spawn(async move {
                let mut head = [0; 11];
                while tcp
                    .peek(&mut head)
                    .await
                    .is_ok_and(|read| read > 0 && read < head.len())
                {
                    tokio::task::yield_now().await;
                }
                if head.starts_with(b"GET /v1/ws") {
                    if let Ok(stream) = tokio_tungstenite::accept_async(tcp).await {
                        let _ = connections.send((here, stream)).await;
                    }
                    return;
                }
                let mut request = [0; 4_096];
                let _ = tcp.read(&mut request).await;
                let body =
                    json!({"code": "unavailable", "message": "not here", "retryable": true}).to_string();
                let head =
                    "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json";
                let _ = tcp
                    .write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes())
                    .await;
            });
        }
    });
    Ok(url)
}

impl Player {
    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::App(order) => self.app(order).await,
            // Both are somebody else's doing: the source gives tokens, and others act through the server.
            Step::Token(_) | Step::Peer(_) => Ok(()),
            Step::Connect(edge) => {
                let (there, stream) = within("a connection", self.connections.recv())
                    .await?
                    .context("a listener")?;
                ensure!(self.vars.fill(edge)? == there.as_str(), "it connects to {there}");
                self.stream = Some(stream);
                Ok(())
            }
            Step::Client(frame) => self.hears(frame).await,
            Step::Server(frame) => {
                let text = self.vars.fill(frame)?.to_string();
                Ok(self.stream()?.send(Message::text(text)).await?)
            }
            Step::Close(code) => self.close(*code).await,
            Step::CloseUnlessLeft(code) => {
                let patience = self
                    .vars
                    .get("within_ms")
                    .and_then(Value::as_u64)
                    .unwrap_or_default();
                let left = tokio::time::timeout(Duration::from_millis(patience), self.left()).await;
                if left.is_err() {
                    self.close(*code).await
                } else {
                    Ok(())
                }
            }
            Step::Cut(Done) => {
                drop(self.stream.take());
                Ok(())
            }
            Step::Silence(Done) => {
                self.frozen.extend(self.stream.take());
                Ok(())
            }
            Step::Leave(Done) => within("the client leaves", self.left()).await?,
            Step::Told(what) => self.told(what).await,
        }
    }

    fn stream(&mut self) -> anyhow::Result<&mut Stream> {
        self.stream.as_mut().context("there is no connection")
    }

    async fn close(&mut self, code: u16) -> anyhow::Result<()> {
        let mut stream = self.stream.take().context("there is no connection")?;
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        Ok(stream.close(Some(frame)).await?)
    }

    /// Until the client has ended the connection.
    async fn left(&mut self) -> anyhow::Result<()> {
        while let Some(Ok(message)) = self.stream()?.next().await {
            if message.is_close() {
                break;
            }
        }
        self.stream = None;
        Ok(())
    }

    /// The next frame of the client that is not one of those that it may send at any time.
    async fn hears(&mut self, expected: &Value) -> anyhow::Result<()> {
        loop {
            let message = within("a frame", self.stream()?.next())
                .await?
                .context("it has left")??;
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text)?;
            let met = self.vars.meet(expected, &frame);
            let free = frame["type"].as_str().is_some_and(|kind| FREE.contains(&kind));
            match met {
                Ok(()) => return Ok(()),
                Err(_) if free => self.answer(&frame).await?,
                Err(error) => return Err(error.context(format!("it said {frame}"))),
            }
        }
    }

    /// What a question gets that no line asks for.
    async fn answer(&mut self, frame: &Value) -> anyhow::Result<()> {
        let id = &frame["id"];
        let answer = match frame["type"].as_str() {
            Some("ping") => json!({"type": "pong", "id": id}),
            Some("watch") => json!({"type": "presence", "id": id, "users": []}),
            Some("conversations") => json!({"type": "conversations", "id": id, "conversations": []}),
            _ => return Ok(()),
        };
        Ok(self.stream()?.send(Message::text(answer.to_string())).await?)
    }

    async fn app(&mut self, order: &Value) -> anyhow::Result<()> {
        let filled = |name: &str, vars: &Vars| vars.fill(&order[name]);
        if order["do"] == "start" {
            let mut config = Config::new(vec![self.edges[0].clone()], Arc::<Tokens>::clone(&self.tokens));
            config.resume = serde_json::from_value(filled("resume", &self.vars)?)?;
            self.client = Some(Client::connect(config)?);
            return Ok(());
        }
        let (client, _) = self.client.as_ref().context("the client is started")?;
        let client = client.clone();
        if order["do"] == "stop" {
            tokio::spawn(async move { client.close().await });
            return Ok(());
        }
        if order["do"] == "active" {
            return Ok(client.set_active(order["active"] == true)?);
        }
        let conversation: Conversation = serde_json::from_value(filled("conversation", &self.vars)?)?;
        let text = order["text"].as_str().unwrap_or_default();
        let target = filled("target", &self.vars)?.as_u64().unwrap_or_default();
        let id = match order["do"].as_str() {
            Some("send") => client.send_with(Draft::text(conversation, text))?,
            Some("edit") => client.edit(conversation, target, text)?,
            Some("delete") => client.delete(conversation, target)?,
            Some("history") => {
                let query = serde_json::from_value(self.vars.fill(order)?)?;
                self.page = Some(tokio::spawn(async move { client.history(query).await }));
                return Ok(());
            }
            other => bail!("an application cannot do {other:?}"),
        };
        self.vars.meet(&order["id"], &json!(id))
    }

    async fn told(&mut self, what: &Value) -> anyhow::Result<()> {
        let (kind, expected) = what
            .as_object()
            .and_then(|one| one.iter().next())
            .context("what")?;
        if kind == "page" {
            let page = self.page.take().context("a question")?;
            let page = within("a page", page).await???;
            return self.vars.meet(expected, &json!(page.messages));
        }
        loop {
            if kind == "message" {
                if let Some(message) = self.messages.pop_front() {
                    return self.vars.meet(expected, &message);
                }
            } else {
                let told = self.others.iter().filter_map(|event| telling(kind, event));
                let vars = &mut self.vars;
                if told.into_iter().any(|told| vars.meet(expected, &told).is_ok()) {
                    return Ok(());
                }
            }
            let (_, events) = self.client.as_mut().context("the client is started")?;
            match within("an event", events.next())
                .await?
                .context("the client has ended")?
            {
                Event::Message(message) => self.messages.push_back(json!(message)),
                other => self.others.push(other),
            }
        }
    }
}

/// An event in the words of the transcripts.
fn telling(kind: &str, event: &Event) -> Option<Value> {
    match (kind, event) {
        ("acked", Event::Acked { id, seq, .. }) => Some(json!({"id": id, "seq": seq})),
        (
            "failed",
            Event::SendFailed {
                id,
                error: SendFailure::Refused(error),
                ..
            },
        ) => Some(json!({"id": id, "code": error.code})),
        (
            "truncated",
            Event::Truncated {
                conversation,
                cursor,
                head,
            },
        ) => Some(json!({"conversation": conversation, "cursor": cursor, "head": head})),
        ("stopped", Event::Stopped(_)) => Some(json!(true)),
        _ => None,
    }
}
