//! A socket without a client behind it: what a test sends is what goes over the wire.

use std::collections::VecDeque;

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use natterjack_nats::{
    Conversation, MessageId,
    wire::{Message, Page, Ready, ServerFrame, WireError},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};

use super::{answers, user::new_id, within};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a socket hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Frame(ServerFrame),
    /// With the close code, if the server gave one.
    Closed(Option<u16>),
}

/// A socket; frames that a question passed over wait for the next one.
pub struct Raw {
    pub stream: Stream,
    /// Of the edge.
    url: String,
    passed: VecDeque<ServerFrame>,
}

impl Raw {
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let socket_url = format!("{}/v1/ws", url.replacen("http", "ws", 1));
        let (stream, _) = within("a socket", tokio_tungstenite::connect_async(&socket_url)).await??;
        Ok(Self {
            stream,
            url: url.to_owned(),
            passed: VecDeque::new(),
        })
    }

    pub async fn hello(&mut self, token: &str, resume: Option<Value>) -> anyhow::Result<Ready> {
        let mut hello = json!({"type": "hello", "token": token, "client": "test"});
        if let Some(cursors) = resume {
            hello["resume"] = cursors;
        }
        self.send(&hello).await?;
        match self.next().await? {
            Heard::Frame(ServerFrame::Ready(ready)) => Ok(*ready),
            other => bail!("wanted ready: {other:?}"),
        }
    }

    pub async fn send(&mut self, frame: &Value) -> anyhow::Result<()> {
        self.text(frame.to_string()).await
    }

    pub async fn text(&mut self, text: String) -> anyhow::Result<()> {
        within(
            "room for a frame",
            self.stream.send(tungstenite::Message::text(text)),
        )
        .await??;
        Ok(())
    }

    /// The next frame, or the end.
    pub async fn next(&mut self) -> anyhow::Result<Heard> {
        if let Some(frame) = self.passed.pop_front() {
            return Ok(Heard::Frame(frame));
        }
        self.read().await
    }

    async fn read(&mut self) -> anyhow::Result<Heard> {
        let heard = within("a frame", Self::frame(&mut self.stream)).await??;
        if let Heard::Frame(ServerFrame::Error { error, .. }) = &heard {
            answers::heard(&self.url, error.code.status(), || error.to_string());
        }
        Ok(heard)
    }

    async fn frame(stream: &mut Stream) -> anyhow::Result<Heard> {
        loop {
            match stream.next().await {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    return Ok(Heard::Frame(
                        serde_json::from_str(&text).with_context(|| text.to_string())?,
                    ));
                }
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    return Ok(Heard::Closed(frame.map(|frame| frame.code.into())));
                }
                Some(Ok(tungstenite::Message::Binary(_))) => bail!("a binary frame"),
                Some(Ok(_)) => {}
                // A reset after the end, or instead of one.
                Some(Err(_)) | None => return Ok(Heard::Closed(None)),
            }
        }
    }

    /// The first frame that `pick` takes; the others stay for later questions.
    pub async fn until<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> anyhow::Result<T> {
        for index in 0..self.passed.len() {
            if let Some(picked) = pick(&self.passed[index]) {
                self.passed.remove(index);
                return Ok(picked);
            }
        }
        loop {
            match self.read().await.with_context(|| what.to_owned())? {
                Heard::Frame(frame) => match pick(&frame) {
                    Some(picked) => return Ok(picked),
                    None => self.passed.push_back(frame),
                },
                Heard::Closed(code) => bail!(
                    "closed with {code:?} instead of: {what}; before: {:?}",
                    self.passed
                ),
            }
        }
    }

    /// The next message.
    pub async fn message(&mut self) -> anyhow::Result<Message> {
        self.until("a message", |frame| match frame {
            ServerFrame::Message(message) => Some((**message).clone()),
            _ => None,
        })
        .await
    }

    /// The next so many messages.
    pub async fn messages(&mut self, count: usize) -> anyhow::Result<Vec<Message>> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            all.push(
                self.message()
                    .await
                    .with_context(|| format!("after {} of {count}", all.len()))?,
            );
        }
        Ok(all)
    }

    /// The answer to a send, edit or deletion.
    pub async fn acked(&mut self, wanted: MessageId) -> anyhow::Result<Result<u64, WireError>> {
        let text = wanted.to_string();
        self.until("an ack", |frame| match frame {
            ServerFrame::Ack { id, seq } if *id == wanted => Some(Ok(*seq)),
            ServerFrame::Error { id: Some(id), error } if *id == text => Some(Err(error.clone())),
            _ => None,
        })
        .await
    }

    /// Sends a text and waits for its place.
    pub async fn say(&mut self, conversation: Conversation, text: &str) -> anyhow::Result<u64> {
        let id = new_id();
        self.send(&json!({"type": "send", "id": id, "conversation": conversation, "text": text}))
            .await?;
        Ok(self.acked(id).await??)
    }

    /// Sends any message frame under a new id and waits for the answer.
    pub async fn post(&mut self, mut frame: Value) -> anyhow::Result<Result<u64, WireError>> {
        let id = new_id();
        frame["id"] = json!(id);
        self.send(&frame).await?;
        self.acked(id).await
    }

    /// A page of history.
    pub async fn history(&mut self, mut query: Value) -> anyhow::Result<Result<Page, WireError>> {
        let wanted = new_id().to_string();
        query["type"] = json!("history");
        query["id"] = json!(wanted);
        self.send(&query).await?;
        self.until("history", |frame| match frame {
            ServerFrame::History { id, page } if *id == wanted => Some(Ok(page.clone())),
            ServerFrame::Error { id: Some(id), error } if *id == wanted => Some(Err(error.clone())),
            _ => None,
        })
        .await
    }

    /// Everything until the server answers a ping: what it had sent before.
    pub async fn so_far(&mut self) -> anyhow::Result<Vec<ServerFrame>> {
        let wanted = new_id().to_string();
        self.send(&json!({"type": "ping", "id": wanted})).await?;
        let pong = ServerFrame::Pong { id: Some(wanted) };
        self.until("pong", |frame| (*frame == pong).then_some(())).await?;
        Ok(self.passed.drain(..).collect())
    }

    /// Reads on until the end and gives its code.
    pub async fn closed(&mut self) -> anyhow::Result<Option<u16>> {
        loop {
            if let Heard::Closed(code) = self.next().await? {
                return Ok(code);
            }
        }
    }

    /// The error that belongs to no message.
    pub async fn complaint(&mut self) -> anyhow::Result<WireError> {
        self.until("an error", |frame| match frame {
            ServerFrame::Error { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await
    }

    /// Leaves without a goodbye.
    pub fn vanish(self) {
        drop(self);
    }
}

/// Fails unless these messages follow each other without a hole after `prev`.
pub fn chained(messages: &[Message], mut prev: u64) -> anyhow::Result<()> {
    for message in messages {
        ensure!(
            message.prev == prev && message.seq > prev,
            "wanted prev {prev}: {message:?}"
        );
        prev = message.seq;
    }
    Ok(())
}

/// Sends texts one after the other without waiting between, then takes all acks.
pub async fn burst(socket: &mut Raw, conversation: Conversation, count: usize) -> anyhow::Result<Vec<u64>> {
    let ids: Vec<_> = (0..count).map(|_| new_id()).collect();
    let mut seqs = Vec::with_capacity(count);
    for (done, chunk) in ids.chunks(50).enumerate() {
        for (n, id) in chunk.iter().enumerate() {
            let text = format!("message {}", done * 50 + n);
            socket
                .send(&json!({"type": "send", "id": id, "conversation": conversation, "text": text}))
                .await?;
        }
        for id in chunk {
            seqs.push(socket.acked(*id).await??);
        }
    }
    ensure!(
        seqs.is_sorted(),
        "sends of one session keep their order: {seqs:?}"
    );
    Ok(seqs)
}
