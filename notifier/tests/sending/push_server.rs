//! A push service of one origin: does as it is told for each device, and remembers what came. What Web Push
//! itself must be is tested elsewhere; here it counts who was asked, when, and what for.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// What it does when it is asked.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This status.
    Status(u16),
    /// This status, with a pause in seconds.
    RetryAfter(u16, u64),
    /// Nothing, for ever.
    Hang,
    /// That it is taken, each so long after the one before.
    Drip(Duration),
    /// This status, once the test lets it.
    Held(u16, Arc<Semaphore>),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub ttl_s: u64,
    pub topic: String,
    pub urgency: String,
    pub at: Instant,
    /// Whether the answer was that it is taken.
    pub taken: bool,
}

#[derive(Default)]
struct Script {
    /// For one path, first come first served.
    next: HashMap<String, VecDeque<Answer>>,
    /// For all others.
    default: Option<Answer>,
    asked: Vec<Asked>,
    slow: Duration,
    drips: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
pub struct PushServer {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    serving: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl PushServer {
    /// Takes everything, until it is told otherwise.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = Self {
            address: listener.local_addr()?,
            script: Arc::default(),
            serving: Arc::default(),
        };
        server.serve(listener);
        Ok(server)
    }

    fn serve(&self, listener: TcpListener) {
        let app = Router::new()
            .route("/{path}", post(push))
            .with_state(Arc::clone(&self.script));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        *self.serving.lock().unwrap() = Some(serving);
    }

    /// Refuses connections from now on.
    pub fn stop(&self) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
    }

    /// Is there again, at the same address.
    pub async fn revive(&self) -> anyhow::Result<()> {
        let address = self.address;
        let listener = super::until("the address is free", async || {
            Ok(TcpListener::bind(address).await.ok())
        });
        self.serve(listener.await?);
        Ok(())
    }

    pub fn endpoint(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The next answers to one path.
    pub fn next(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut script = self.script.lock().unwrap();
        script.next.entry(path.to_owned()).or_default().extend(answers);
    }

    /// The answer to all that nothing else was told for.
    pub fn always(&self, answer: Answer) {
        self.script.lock().unwrap().default = Some(answer);
    }

    /// How long each answer takes.
    pub fn takes(&self, time: Duration) {
        self.script.lock().unwrap().slow = time;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }

    pub fn asked_for(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked().into_iter();
        asked.filter(|asked| asked.path == path).collect()
    }
}

async fn push(
    State(script): State<Arc<Mutex<Script>>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    assert_eq!(header("content-encoding"), "aes128gcm");
    assert!(!body.is_empty() && body.len() <= 4_096);
    let (answer, slow, drips) = {
        let mut script = script.lock().unwrap();
        let next = script.next.get_mut(&path).and_then(VecDeque::pop_front);
        let answer = next
            .or_else(|| script.default.clone())
            .unwrap_or(Answer::Status(201));
        let taken = matches!(&answer, Answer::Status(201) | Answer::Held(201, _));
        script.asked.push(Asked {
            path,
            ttl_s: header("ttl").parse().unwrap(),
            topic: header("topic"),
            urgency: header("urgency"),
            at: Instant::now(),
            taken,
        });
        (answer, script.slow, Arc::clone(&script.drips))
    };
    tokio::time::sleep(slow).await;
    let status = |status| StatusCode::from_u16(status).unwrap();
    match answer {
        Answer::Status(code) => status(code).into_response(),
        Answer::RetryAfter(code, seconds) => {
            (status(code), [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Answer::Hang => std::future::pending().await,
        Answer::Drip(every) => {
            let _turn = drips.lock().await;
            tokio::time::sleep(every).await;
            StatusCode::CREATED.into_response()
        }
        Answer::Held(code, gate) => {
            gate.acquire().await.unwrap().forget();
            status(code).into_response()
        }
    }
}
