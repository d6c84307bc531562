//! A push service for tests and benchmarks, with the browsers behind it: it takes a Web Push only if the
//! RFCs would have it taken, opens it, and remembers it. It can also fail in all the ways that real ones
//! do.
//!
//! Nothing in it is shared with the notifier: the checks are written from RFC 8030, RFC 8188, RFC 8291 and
//! RFC 8292, and pushes are opened by an implementation of others ([`Depth::Independent`]).

mod check;
mod independent;
mod open;
mod server;
mod subscription;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use natterjack_runtime::clock::Clock;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

pub use check::{Headers, Problem, check};
use independent::Opener;
pub use subscription::Subscription;

/// How closely a push is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only its headers: for benchmarks. What it says is not known.
    Headers,
    /// It is opened too, by some lines of our own: for tests under load.
    Opened,
    /// It is opened by `http_ece` of Python too, and both have to find the same.
    Independent,
}

/// How a push is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// It is taken, if it is in order.
    Take,
    /// With this status, and this `Retry-After`, whatever it is.
    Answer {
        /// The status.
        status: u16,
        /// Seconds or a date.
        retry_after: Option<String>,
    },
    /// Not at all: the request stays open.
    Hang,
    /// With a redirect to there.
    Redirect(String),
    /// Bodies that are longer get a 413; others are taken.
    BytesMax(usize),
}

impl Behaviour {
    /// An answer without `Retry-After`.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Answer {
            status,
            retry_after: None,
        }
    }

    /// An answer that asks for a pause.
    #[must_use]
    pub fn retry_after(status: u16, retry_after: impl Into<String>) -> Self {
        Self::Answer {
            status,
            retry_after: Some(retry_after.into()),
        }
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// To which subscription: the last part of its endpoint.
    pub subscription: String,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// How it was answered; 0 if it was left hanging.
    pub status: u16,
    /// Its topic, which collapses.
    pub topic: String,
    /// Its urgency.
    pub urgency: String,
    /// For how long it may wait for the device.
    pub ttl_s: u64,
    /// Bytes of its body.
    pub body_bytes: usize,
    /// What it says, if it was taken and opened.
    pub notice: Option<Value>,
    /// What is wrong with it, if it was refused for that.
    pub problem: Option<String>,
}

impl Delivery {
    /// Whether it was taken.
    #[must_use]
    pub const fn accepted(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// The push service; it goes with its handle.
#[derive(Debug)]
pub struct PushServer {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

impl Drop for PushServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What handlers share.
#[derive(Debug)]
struct State {
    depth: Depth,
    clock: Clock,
    opener: Option<Opener>,
    inner: Mutex<Inner>,
    /// How many requests came.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    subscriptions: HashMap<String, Subscription>,
    /// For a subscription: how the next requests are answered.
    scripts: HashMap<String, VecDeque<Behaviour>>,
    /// For a subscription: how all others are.
    habits: HashMap<String, Behaviour>,
    /// For all that have no habit.
    habit: Option<Behaviour>,
    deliveries: Vec<Delivery>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PushServer {
    /// A push service on a free port of the loopback.
    ///
    /// # Errors
    /// There is no port, or no Python to open pushes with.
    pub async fn start(depth: Depth) -> anyhow::Result<Self> {
        let opener = match depth {
            Depth::Independent => Some(Opener::start().await?),
            Depth::Headers | Depth::Opened => None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            depth,
            clock: Clock::system(),
            opener,
            inner: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let router = server::router(Arc::clone(&state));
        let serving = tokio::spawn(async move {
            // It ends with its handle alone.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            state,
            serving,
        })
    }

    /// Where it is, for a [`Link`](super::Link) in front of it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a browser does in `PushManager.subscribe` with this `applicationServerKey`.
    ///
    /// # Errors
    /// The key is no point on P-256 in base64url.
    pub fn subscribe(&self, application_server_key: &str) -> anyhow::Result<Subscription> {
        self.subscribe_by(&format!("http://{}", self.address), application_server_key)
    }

    /// The same, with an endpoint that begins with another origin, such as a link's.
    ///
    /// # Errors
    /// As [`PushServer::subscribe`].
    pub fn subscribe_by(&self, origin: &str, application_server_key: &str) -> anyhow::Result<Subscription> {
        let subscription = Subscription::new(origin, application_server_key)?;
        let mut inner = self.state.lock();
        inner
            .subscriptions
            .insert(subscription.id.clone(), subscription.clone());
        Ok(subscription)
    }

    /// The browser gives its subscription up: pushes to it get a 410.
    pub fn unsubscribe(&self, subscription: &Subscription) {
        self.state.lock().subscriptions.remove(&subscription.id);
    }

    /// How the next pushes to a subscription are answered, one after the other; then as it is used to.
    pub fn script(&self, subscription: &Subscription, behaviours: impl IntoIterator<Item = Behaviour>) {
        let mut inner = self.state.lock();
        let script = inner.scripts.entry(subscription.id.clone()).or_default();
        script.extend(behaviours);
    }

    /// How pushes to a subscription are answered from now on.
    pub fn behave_for(&self, subscription: &Subscription, behaviour: Behaviour) {
        let mut inner = self.state.lock();
        inner.habits.insert(subscription.id.clone(), behaviour);
    }

    /// How all pushes are answered from now on, but those to subscriptions with a behaviour of their own.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().habit = Some(behaviour);
    }

    /// Everything that came, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.lock().deliveries.clone()
    }

    /// What came for a subscription, oldest first.
    #[must_use]
    pub fn deliveries_to(&self, subscription: &Subscription) -> Vec<Delivery> {
        let inner = self.state.lock();
        let to_it = inner.deliveries.iter();
        to_it
            .filter(|delivery| delivery.subscription == subscription.id)
            .cloned()
            .collect()
    }

    /// Requests that have come so far.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.state.count.borrow()
    }

    /// What was wrong with pushes that were refused: empty if the notifier does what it should.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let inner = self.state.lock();
        let problems = inner.deliveries.iter();
        problems.filter_map(|delivery| delivery.problem.clone()).collect()
    }

    /// Waits until what came for a subscription is as wanted.
    ///
    /// # Errors
    /// It was not within `patience`; the error lists what came.
    pub async fn wait_for(
        &self,
        subscription: &Subscription,
        patience: Duration,
        mut wanted: impl FnMut(&[Delivery]) -> bool,
    ) -> anyhow::Result<Vec<Delivery>> {
        let mut count = self.state.count.subscribe();
        let waiting = async {
            loop {
                count.borrow_and_update();
                let came = self.deliveries_to(subscription);
                if wanted(&came) {
                    return came;
                }
                if count.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let waited = tokio::time::timeout(patience, waiting).await;
        waited.map_err(|_| {
            let came = self.deliveries_to(subscription);
            anyhow::anyhow!(
                "{} s were not enough; to this subscription came {came:#?}",
                patience.as_secs()
            )
        })
    }
}
