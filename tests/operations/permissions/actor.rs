//! A user who tries things, and what comes of it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, ensure};
use async_nats::{Client, Event, HeaderMap, Message, Subscriber, header};
use futures::StreamExt as _;
use natterjack_nats::{access::User, cluster};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::secured::Secured;

const PATIENCE: Duration = Duration::from_secs(20);

/// Something to try.
#[derive(Debug)]
pub enum Action {
    /// Asks JetStream, and is answered without an error.
    Ask(&'static str, &'static str),
    /// Publishes what a stream stores, and is told where.
    Store(&'static str),
    /// Publishes to whoever listens.
    Tell(&'static str),
    /// Listens to a subject on which another one publishes: pattern and sample.
    Hear(&'static str, &'static str),
}

/// A user with a connection.
pub struct Actor {
    client: Client,
    refusals: Mutex<mpsc::UnboundedReceiver<String>>,
    marks: AtomicU64,
}

impl Actor {
    pub async fn new(secured: &Secured, user: User) -> anyhow::Result<Self> {
        let (told, refusals) = mpsc::unbounded_channel();
        let login = secured.nats_args(user).login(user);
        let client = cluster::connect(login, "permissions test", move |event| {
            if let Event::ServerError(error) = event {
                let _ = told.send(error.to_string());
            }
        })
        .await?;
        Ok(Self {
            client,
            refusals: Mutex::new(refusals),
            marks: AtomicU64::new(0),
        })
    }

    /// The answer of JetStream, of which nobody knows what it says.
    async fn ask(&self, subject: &'static str, payload: &'static str) -> anyhow::Result<Message> {
        let asked = self.client.request(subject, payload.into());
        Ok(timeout(PATIENCE, asked).await.context("no answer in time")??)
    }

    /// What there is, as an admin sees it: settings of all streams and of a consumer that matters, and what is
    /// stored.
    pub async fn stores(&self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let listed = self.json("$JS.API.STREAM.LIST").await?;
        for stream in listed["streams"].as_array().context("no list of streams")? {
            let state = &stream["state"];
            let stored = ["messages", "first_seq", "last_seq"].map(|name| state[name].clone());
            all.push(json!([stream["config"], stored]));
        }
        for subject in [
            "$JS.API.CONSUMER.INFO.KV_edges.presence",
            "$JS.API.CONSUMER.INFO.KV_sessions.presence",
            "$JS.API.CONSUMER.INFO.CHAT_0.persister",
            "$JS.API.CONSUMER.INFO.CHAT_0.notifier",
        ] {
            let consumer = self.json(subject).await?;
            all.push(json!([
                consumer["config"],
                consumer["delivered"],
                consumer["ack_floor"]
            ]));
        }
        Ok(all)
    }

    async fn json(&self, subject: &'static str) -> anyhow::Result<Value> {
        let answer: Value = serde_json::from_slice(&self.ask(subject, "").await?.payload)?;
        ensure!(answer["error"].is_null(), "{answer}");
        Ok(answer)
    }

    /// The answer of JetStream to a message that wants to replace others.
    pub async fn store_over(&self, subject: &'static str, scope: &str) -> anyhow::Result<Value> {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_ROLLUP, scope);
        let stored = self.client.request_with_headers(subject, headers, "{}".into());
        let answer = timeout(PATIENCE, stored).await.context("no answer in time")??;
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    /// Publishes what a stream stores, and gives its sequence.
    pub async fn store(&self, subject: &'static str, payload: &'static str) -> anyhow::Result<u64> {
        let answer = self.ask(subject, payload).await?;
        let answer: Value = serde_json::from_slice(&answer.payload)?;
        answer["seq"].as_u64().with_context(|| format!("{answer}"))
    }

    /// Asks, and wants the answer somewhere else than in an inbox.
    pub async fn ask_for(
        &self,
        subject: &'static str,
        payload: String,
        place: &'static str,
    ) -> anyhow::Result<()> {
        let asked = self.client.publish_with_reply(subject, place, payload.into());
        Ok(asked.await?)
    }

    /// The same, and fails unless the server refuses it.
    pub async fn is_refused_for(&self, subject: &'static str, place: &'static str) -> anyhow::Result<()> {
        self.ask_for(subject, String::new(), place).await?;
        named(&self.refusals().await?, "Publish with Reply", place)
    }

    /// Answers the next request wherever it wants, as careless code does.
    pub async fn answer_next(
        &self,
        subject: &'static str,
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
        let mut requests = self.client.subscribe(subject).await?;
        let refusals = self.refusals().await?;
        ensure!(refusals.is_empty(), "{refusals:?}");
        let client = self.client.clone();
        Ok(async move {
            let request = timeout(PATIENCE, requests.next()).await?.context("no request")?;
            let place = request.reply.context("no place for an answer")?;
            Ok(client.publish(place, "answered".into()).await?)
        })
    }

    /// Tells whoever listens.
    pub async fn publish(&self, subject: &'static str, payload: &'static str) -> anyhow::Result<()> {
        Ok(self.client.publish(subject, payload.into()).await?)
    }

    /// Listens, once the server knows of it.
    pub async fn listen(&self, subject: &'static str) -> anyhow::Result<Ear> {
        let heard = self.client.subscribe(subject).await?;
        self.settled().await?;
        Ok(Ear(Mutex::new(heard)))
    }

    /// What JetStream says to a question, errors too.
    pub async fn told(&self, subject: &'static str, payload: &'static str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(
            &self.ask(subject, payload).await?.payload,
        )?)
    }

    /// What stands in a bucket under a key, by a direct get; `None` if nothing does.
    pub async fn value(&self, get: &'static str) -> anyhow::Result<Option<Vec<u8>>> {
        let answer = self.ask(get, "").await?;
        Ok(answer.status.is_none().then(|| answer.payload.to_vec()))
    }

    /// Fails unless it has its effect.
    pub async fn works(&self, action: &Action, admin: &Self) -> anyhow::Result<()> {
        match action {
            Action::Ask(subject, payload) => {
                let answer = self.ask(subject, payload).await?;
                let json = serde_json::from_slice::<Value>(&answer.payload).unwrap_or_default();
                ensure!(json["error"].is_null(), "{json}");
            }
            Action::Store(subject) => {
                let answer = self.ask(subject, "{}").await?;
                let json: Value = serde_json::from_slice(&answer.payload)?;
                ensure!(json["seq"].as_u64() > Some(0), "{json}");
            }
            Action::Tell(subject) => {
                let mut heard = admin.client.subscribe(*subject).await?;
                admin.settled().await?;
                self.client.publish(*subject, "".into()).await?;
                timeout(PATIENCE, heard.next()).await.context("nobody hears it")?;
            }
            Action::Hear(pattern, sample) => {
                let mut heard = self.client.subscribe(*pattern).await?;
                if self.is_admin() {
                    // Another connection publishes, and nothing is refused here that would tell how far this one is.
                    self.settled().await?;
                }
                let refusals = self.refusals().await?;
                ensure!(refusals.is_empty(), "{refusals:?}");
                admin.client.publish(*sample, "".into()).await?;
                timeout(PATIENCE, heard.next())
                    .await
                    .context("nothing is heard")?;
            }
        }
        let refusals = self.refusals().await?;
        ensure!(refusals.is_empty(), "{refusals:?}");
        Ok(())
    }

    /// Fails unless the server refuses it.
    pub async fn is_refused(&self, action: &Action) -> anyhow::Result<()> {
        let (what, subject) = match action {
            Action::Ask(subject, payload) => {
                let inbox = self.client.new_inbox();
                self.client
                    .publish_with_reply(*subject, inbox, (*payload).into())
                    .await?;
                ("Publish", subject)
            }
            Action::Store(subject) | Action::Tell(subject) => {
                self.client.publish(*subject, "{}".into()).await?;
                ("Publish", subject)
            }
            Action::Hear(pattern, _) => {
                // Kept, so that it is not taken back before the server has looked at it.
                let heard = self.client.subscribe(*pattern).await?;
                let refusals = self.refusals().await?;
                drop(heard);
                return named(&refusals, "Subscription", pattern);
            }
        };
        named(&self.refusals().await?, what, subject)
    }

    /// What was refused since the last look. The server looks at one thing after the other: once it has refused
    /// a mark, which nobody may publish, it has looked at all before it.
    async fn refusals(&self) -> anyhow::Result<Vec<String>> {
        if self.is_admin() {
            return Ok(Vec::new());
        }
        let mark = format!("mark.{}", self.marks.fetch_add(1, Ordering::Relaxed));
        self.client.publish(mark.clone(), "".into()).await?;
        let mut told = self.refusals.lock().await;
        let mut refusals = Vec::new();
        loop {
            let next = timeout(PATIENCE, told.recv())
                .await
                .context("the mark is not refused")?;
            let next = next.context("the connection is gone")?;
            if next.to_lowercase().contains(&format!("\"{mark}\"")) {
                return Ok(refusals);
            }
            refusals.push(next);
        }
    }

    /// Whether nothing is refused to this one, a mark neither.
    fn is_admin(&self) -> bool {
        let inbox = self.client.new_inbox();
        inbox.starts_with("_INBOX_admin") || inbox.starts_with("_INBOX_system")
    }

    /// Resolves once the server knows all subscriptions.
    async fn settled(&self) -> anyhow::Result<()> {
        self.ask("$JS.API.INFO", "").await?;
        Ok(())
    }
}

/// What listens.
pub struct Ear(Mutex<Subscriber>);

impl Ear {
    async fn next(&self) -> anyhow::Result<Message> {
        let mut heard = self.0.lock().await;
        let message = timeout(PATIENCE, heard.next())
            .await
            .context("nothing is heard")?;
        message.context("the connection is gone")
    }

    /// The subject of what is heard next.
    pub async fn next_subject(&self) -> anyhow::Result<String> {
        Ok(self.next().await?.subject.to_string())
    }

    /// The text of what is heard next.
    pub async fn next_text(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.next().await?.payload.to_vec())?)
    }
}

fn named(refusals: &[String], what: &str, subject: &str) -> anyhow::Result<()> {
    let told = refusals.iter().any(|refusal| {
        let refusal = refusal.to_lowercase();
        // What is led away is refused under another name.
        let subject = subject.to_lowercase();
        let named = [format!("\"{subject}\""), format!("\"refused.{subject}\"")];
        refusal.contains(&what.to_lowercase()) && named.iter().any(|name| refusal.contains(name))
    });
    ensure!(told, "is not refused: {refusals:?}");
    Ok(())
}
