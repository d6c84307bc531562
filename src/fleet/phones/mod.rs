//! A push service (RFC 8030) in this process and the devices behind it: what they are told, in the order
//! in which it was taken, and what was wrong with it.

mod answer;
mod subscription;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use axum::{Router, routing::post};
use natterjack_nats::wire::{Notice, PushRequest, PushTarget};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use subscription::Subscription;

/// How long whoever waits for a push has patience, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A push that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// For which device, by its name.
    pub phone: String,
    /// What it says.
    pub notice: Notice,
    /// Under which name the push service puts a later one in its place.
    pub topic: Option<String>,
    /// For how many seconds it is kept.
    pub ttl_s: u64,
    /// How urgent it is.
    pub urgency: String,
    /// Bytes of the encrypted body.
    pub bytes: usize,
    /// When.
    pub at: Instant,
}

/// How the push service behaves to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// It takes what comes.
    #[default]
    Takes,
    /// It refuses with this status.
    Refuses(u16),
    /// It refuses with this status, and asks for a pause of so many seconds.
    Later(u16, u32),
    /// It does not answer.
    Hangs,
}

/// The push service; it ends when this is dropped.
#[derive(Debug)]
pub struct Phones {
    address: SocketAddr,
    state: Arc<State>,
    serving: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    phones: Mutex<HashMap<String, Phone>>,
    taken: watch::Sender<Vec<Taken>>,
    /// What was wrong with a request: the test is to fail.
    wrong: Mutex<Vec<String>>,
    /// Time between taking a push and saying so.
    answers_after: Mutex<Duration>,
}

struct Phone {
    subscription: Arc<Subscription>,
    mood: Mood,
    /// Requests, whatever became of them.
    requests: usize,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Phone")
            .field("mood", &self.mood)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl Phones {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let serving = serve(listener, Arc::clone(&state));
        Ok(Self {
            address,
            state,
            serving: Mutex::new(Some(serving)),
        })
    }

    /// A device under this name subscribes: what it registers with. Of one that had subscribed before, the
    /// old subscription is dead.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn subscribe(&self, phone: &str) -> anyhow::Result<PushRequest> {
        let subscription = Arc::new(Subscription::new()?);
        let keys = subscription.keys();
        let new = Phone {
            subscription,
            mood: Mood::default(),
            requests: 0,
        };
        lock(&self.state.phones).insert(phone.to_owned(), new);
        Ok(PushRequest {
            target: PushTarget::WebPush {
                endpoint: format!("http://{}/push/{phone}", self.address),
                keys,
            },
            silent: false,
        })
    }

    /// From now on it behaves so to one device, or to all.
    pub fn set_mood(&self, phone: Option<&str>, mood: Mood) {
        let mut phones = lock(&self.state.phones);
        let chosen = phones
            .iter_mut()
            .filter(|(name, _)| phone.is_none_or(|phone| phone == name.as_str()));
        chosen.for_each(|(_, phone)| phone.mood = mood);
    }

    /// From now on it says only after this time that it has taken a push.
    pub fn answer_after(&self, time: Duration) {
        *lock(&self.state.answers_after) = time;
    }

    /// It is away: nobody can connect. What is under way breaks off.
    pub async fn go_away(&self) {
        let serving = lock(&self.serving).take();
        if let Some(serving) = serving {
            serving.abort();
            // Its end, whatever it is: the port is free then.
            let _ = serving.await;
        }
    }

    /// It is back, on the same port.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn come_back(&self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        *lock(&self.serving) = Some(serve(listener, Arc::clone(&self.state)));
        Ok(())
    }

    /// How often a device was asked for, whatever became of it.
    #[must_use]
    pub fn requests(&self, phone: &str) -> usize {
        lock(&self.state.phones)
            .get(phone)
            .map_or(0, |phone| phone.requests)
    }

    /// All that was taken so far.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.state.taken.borrow().clone()
    }

    /// What a device was told so far.
    #[must_use]
    pub fn told(&self, phone: &str) -> Vec<Notice> {
        let taken = self.state.taken.borrow();
        let told = taken.iter().filter(|taken| taken.phone == phone);
        told.map(|taken| taken.notice.clone()).collect()
    }

    /// Waits until what was taken is enough for `pick`.
    ///
    /// # Errors
    /// It took too long, or a request was wrong.
    pub async fn until<T>(
        &self,
        what: &str,
        mut pick: impl FnMut(&[Taken]) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut taken = self.state.taken.subscribe();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.nothing_wrong()?;
            if let Some(picked) = pick(&taken.borrow_and_update()) {
                return Ok(picked);
            }
            match timeout_at(deadline, taken.changed()).await {
                Ok(changed) => changed.context("the push service ended")?,
                Err(_) => bail!("waited in vain for: {what}; taken: {:?}", self.taken()),
            }
        }
    }

    /// Waits until a device was told of a message, and gives what it was told.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub async fn told_of(&self, phone: &str, seq: u64) -> anyhow::Result<Taken> {
        let of = |taken: &&Taken| {
            taken.phone == phone
                && matches!(taken.notice, Notice::Message { .. })
                && taken.notice.seq() == seq
        };
        self.until(&format!("{phone} is told of {seq}"), |taken| {
            taken.iter().find(of).cloned()
        })
        .await
    }

    /// Fails if a request was not as the standards demand.
    ///
    /// # Errors
    /// What was wrong.
    pub fn nothing_wrong(&self) -> anyhow::Result<()> {
        let wrong = lock(&self.state.wrong);
        ensure!(wrong.is_empty(), "wrong requests: {wrong:?}");
        Ok(())
    }
}

impl Drop for Phones {
    fn drop(&mut self) {
        if let Some(serving) = lock(&self.serving).take() {
            serving.abort();
        }
    }
}

fn serve(listener: TcpListener, state: Arc<State>) -> JoinHandle<()> {
    let router = Router::new()
        .route("/push/{phone}", post(answer::push))
        .with_state(state);
    tokio::spawn(async move {
        // It serves until it is aborted.
        let _ = axum::serve(listener, router).await;
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
