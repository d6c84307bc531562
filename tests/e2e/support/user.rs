//! A person with an account, as HTTP sees it.

use anyhow::{Context, ensure};
use natterjack::fleet::House;
use natterjack_nats::{
    Conversation, DeviceId, MessageId, UserId,
    wire::{ConversationSummary, Message, Page},
};
use natterjack_runtime::clock::Clock;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{PATIENCE, answers, raw::Raw};

pub const PASSWORD: &str = "correct horse battery staple";

/// One device of one user.
#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub device: DeviceId,
    pub token: String,
    pub refresh_token: String,
    pub urls: Vec<String>,
    http: reqwest::Client,
}

/// Status and JSON body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    pub fn ok(self) -> anyhow::Result<Value> {
        ensure!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        Ok(self.body)
    }

    /// The code of an error in the one form.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("no code")
    }

    /// Fails unless it is this error, whole and in the one form.
    pub fn refused(&self, status: u16, code: &str) -> anyhow::Result<()> {
        ensure!(
            self.status == status && self.code() == code,
            "wanted {status} {code}: {self:?}"
        );
        ensure!(
            self.body["message"].is_string() && self.body["retryable"].is_boolean(),
            "{self:?}"
        );
        Ok(())
    }
}

/// A new message id, as a client makes it now.
pub fn new_id() -> MessageId {
    MessageId::generate(Clock::system().now_ms())
}

/// Any request to an edge.
pub async fn call(
    http: &reqwest::Client,
    method: Method,
    url: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> anyhow::Result<Answer> {
    let mut request = http.request(method.clone(), url).timeout(2 * PATIENCE);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    answers::heard(url, status, || format!("{method}: {text}"));
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).context(text)?
    };
    Ok(Answer { status, body })
}

impl User {
    /// A new account; its device talks to the first edge unless told otherwise.
    pub async fn sign_up(house: &House, handle: &str) -> anyhow::Result<Self> {
        let body =
            json!({"handle": handle, "password": PASSWORD, "device": {"name": "first", "platform": "test"}});
        Self::enter(house, "/v1/signup", &body).await
    }

    /// Another device of an account.
    pub async fn log_in(house: &House, handle: &str) -> anyhow::Result<Self> {
        let body = json!({"handle": handle, "password": PASSWORD, "device": {"name": "further", "platform": "test"}});
        Self::enter(house, "/v1/login", &body).await
    }

    async fn enter(house: &House, path: &str, body: &Value) -> anyhow::Result<Self> {
        let http = reqwest::Client::new();
        let answer = call(
            &http,
            Method::POST,
            &format!("{}{path}", house.url(0)),
            None,
            Some(body),
        )
        .await?;
        let tokens = answer.ok().context(path.to_owned())?;
        Ok(Self {
            id: serde_json::from_value(tokens["user"]["id"].clone())?,
            device: serde_json::from_value(tokens["device"].clone())?,
            token: tokens["access_token"]
                .as_str()
                .context("access_token")?
                .to_owned(),
            refresh_token: tokens["refresh_token"]
                .as_str()
                .context("refresh_token")?
                .to_owned(),
            urls: house.urls(),
            http,
        })
    }

    pub async fn request(
        &self,
        edge: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.urls[edge]);
        call(&self.http, method, &url, Some(&self.token), body.as_ref()).await
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.request(0, Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.request(0, Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.request(0, Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.request(0, Method::DELETE, path, None).await
    }

    /// A decoded answer to a GET.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(serde_json::from_value(self.get(path).await?.ok()?)?)
    }

    pub fn dm(&self, other: &Self) -> Conversation {
        Conversation::dm(self.id, other.id)
    }

    /// A new group of which this user is the owner.
    pub async fn group(&self, title: &str, members: &[&Self]) -> anyhow::Result<Conversation> {
        let members: Vec<_> = members.iter().map(|user| user.id).collect();
        let made = self
            .post("/v1/groups", json!({"title": title, "members": members}))
            .await?
            .ok()?;
        Ok(serde_json::from_value(made["conversation"].clone())?)
    }

    /// Sends over HTTP.
    pub async fn say(&self, conversation: Conversation, text: &str) -> anyhow::Result<u64> {
        let body = json!({"id": new_id(), "text": text});
        let sent = self
            .post(&format!("/v1/conversations/{conversation}/messages"), body)
            .await?
            .ok()?;
        sent["seq"].as_u64().with_context(|| format!("{sent}"))
    }

    /// The whole history, page by page.
    pub async fn history(&self, conversation: Conversation) -> anyhow::Result<Vec<Message>> {
        let mut all: Vec<Message> = Vec::new();
        loop {
            let after = all.last().map_or(0, |last| last.seq);
            let path = format!("/v1/conversations/{conversation}/messages?after={after}");
            let page: Page = self.fetch(&path).await?;
            let more = page.more_after;
            all.extend(page.messages);
            if !more {
                return Ok(all);
            }
        }
    }

    pub async fn summary(&self, conversation: Conversation) -> anyhow::Result<ConversationSummary> {
        self.fetch(&format!("/v1/conversations/{conversation}")).await
    }

    /// A socket on an edge, after `ready`.
    pub async fn online(&self, edge: usize) -> anyhow::Result<Raw> {
        let mut socket = Raw::open(&self.urls[edge]).await?;
        socket.hello(&self.token, None).await?;
        Ok(socket)
    }

    /// A socket that resumes from cursors, after `ready`.
    pub async fn resume(&self, edge: usize, cursors: &[(Conversation, u64)]) -> anyhow::Result<Raw> {
        let cursors: serde_json::Map<_, _> = cursors
            .iter()
            .map(|(c, seq)| (c.to_string(), json!(seq)))
            .collect();
        let mut socket = Raw::open(&self.urls[edge]).await?;
        socket.hello(&self.token, Some(Value::Object(cursors))).await?;
        Ok(socket)
    }
}
