//! A small push service for Firefox, and the page that it visits.
//!
//! The browser's side is a WebSocket with JSON: `hello`, `register`, `unregister`, `ack` from the browser,
//! the answers and `notification` to it (<https://mozilla-services.github.io/autopush-rs/>, and the
//! browser's own `PushServiceWebSocket`). The other side is RFC 8030.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use natterjack::fleet::push_service::check;
use natterjack_runtime::clock::Clock;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::support::PATIENCE;

/// The push service; it goes with its handle.
pub struct Autopush {
    authority: String,
    state: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Autopush {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Shared {
    authority: String,
    channels: Mutex<HashMap<String, Channel>>,
    /// What the browser says of notifications: 100 is "delivered", 101 "cannot be decrypted".
    acks: watch::Sender<Vec<u64>>,
    problems: Mutex<Vec<String>>,
}

/// A subscription.
struct Channel {
    key: String,
    browser: mpsc::Sender<Value>,
}

impl Autopush {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // A name that browsers trust as much as TLS, and need to for service workers.
        let authority = format!("localhost:{}", listener.local_addr()?.port());
        let state = Arc::new(Shared {
            authority: authority.clone(),
            channels: Mutex::default(),
            acks: watch::Sender::default(),
            problems: Mutex::default(),
        });
        let html = [(header::CONTENT_TYPE, "text/html")];
        let script = [(header::CONTENT_TYPE, "text/javascript")];
        let router = Router::new()
            .route("/", get(upgrade))
            .route("/wpush/{channel}", any(push))
            .route(
                "/page",
                get(move || async move { (html, include_str!("page/index.html")) }),
            )
            .route(
                "/worker.js",
                get(move || async move { (script, include_str!("page/worker.js")) }),
            )
            .with_state(Arc::clone(&state));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            authority,
            state,
            serving,
        })
    }

    /// For `dom.push.serverURL`.
    pub fn push_url(&self) -> String {
        format!("ws://{}/", self.authority)
    }

    pub fn page_url(&self) -> String {
        format!("http://{}/page", self.authority)
    }

    /// Waits until the browser has acknowledged so many, and hands back what it said.
    pub async fn acks(&self, count: usize) -> anyhow::Result<Vec<u64>> {
        let mut acks = self.state.acks.subscribe();
        let waited = tokio::time::timeout(PATIENCE, acks.wait_for(|acks| acks.len() >= count)).await;
        let problems = self.state.problems.lock().unwrap().clone();
        let acks =
            waited.with_context(|| format!("the browser acknowledged too little; refused: {problems:?}"))?;
        Ok(acks?.clone())
    }

    /// What was wrong with pushes that came.
    pub fn problems(&self) -> Vec<String> {
        self.state.problems.lock().unwrap().clone()
    }
}

/// RFC 8030, to the browser at once.
async fn push(
    State(state): State<Arc<Shared>>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let found = {
        let channels = state.channels.lock().unwrap();
        channels
            .get(&id)
            .map(|channel| (channel.key.clone(), channel.browser.clone()))
    };
    let Some((key, browser)) = found else {
        return StatusCode::GONE.into_response();
    };
    let now_s = Clock::system().now_ms() / 1_000;
    let ttl = match check(&method, &headers, &body, &key, now_s) {
        Ok(good) => good.ttl_s.to_string(),
        Err((status, problem)) => {
            state.problems.lock().unwrap().push(problem.clone());
            return (StatusCode::from_u16(status).unwrap(), problem).into_response();
        }
    };
    let notification = json!({
        "messageType": "notification",
        "channelID": id,
        "version": Uuid::new_v4().to_string(),
        "data": BASE64_URL_SAFE_NO_PAD.encode(&body),
        "headers": {"encoding": "aes128gcm"},
    });
    match browser.send(notification).await {
        Ok(()) => (
            StatusCode::CREATED,
            [("TTL", ttl), ("Location", "/m/1".to_owned())],
        )
            .into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn upgrade(State(state): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols(["push-notification"])
        .on_upgrade(move |socket| async move {
            let _ = serve(&state, socket).await;
        })
}

/// One browser's connection.
async fn serve(state: &Shared, mut socket: WebSocket) -> anyhow::Result<()> {
    let (sender, mut notifications) = mpsc::channel(16);
    loop {
        let answer = tokio::select! {
            Some(notification) = notifications.recv() => Some(notification),
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => answer(state, &sender, &serde_json::from_str(&text)?)?,
                Some(Ok(_)) => None,
                _ => return Ok(()),
            },
        };
        if let Some(answer) = answer {
            socket.send(Message::text(answer.to_string())).await?;
        }
    }
}

fn answer(state: &Shared, browser: &mpsc::Sender<Value>, heard: &Value) -> anyhow::Result<Option<Value>> {
    let channel = heard["channelID"].as_str().unwrap_or_default();
    Ok(match heard["messageType"].as_str() {
        Some("hello") => Some(json!({
            "messageType": "hello",
            "status": 200,
            "uaid": Uuid::new_v4().simple().to_string(),
            "use_webpush": true,
            "broadcasts": {},
        })),
        Some("register") => {
            let key = heard["key"].as_str().context("a subscription without a key")?;
            let entry = Channel {
                key: key.trim_end_matches('=').to_owned(),
                browser: browser.clone(),
            };
            state.channels.lock().unwrap().insert(channel.to_owned(), entry);
            Some(json!({
                "messageType": "register",
                "status": 200,
                "channelID": channel,
                "pushEndpoint": format!("http://{}/wpush/{channel}", state.authority),
            }))
        }
        Some("unregister") => {
            state.channels.lock().unwrap().remove(channel);
            Some(json!({"messageType": "unregister", "status": 200, "channelID": channel}))
        }
        Some("ack") => {
            let updates = heard["updates"].as_array().context("an ack of nothing")?;
            let codes = updates.iter().filter_map(|update| update["code"].as_u64());
            state.acks.send_modify(|acks| acks.extend(codes));
            None
        }
        // A ping is an empty object, and so is its answer.
        _ if heard.as_object().is_some_and(serde_json::Map::is_empty) => Some(json!({})),
        _ => None,
    })
}
