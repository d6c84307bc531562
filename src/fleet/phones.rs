//! Devices behind a push service, by name: what each is told, in the order in which it was taken.
//!
//! The [`PushServer`] is as strict as the RFCs and opens what it takes; a link in front of it is cut when it
//! is to be away.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use async_nats::jetstream;
use natterjack_nats::{
    Conversation,
    cluster::{self, Login},
    wire::{Notice, PushRequest},
};
use tokio::time::{Instant, sleep};

use super::{
    Link, Weather,
    push_service::{Behaviour, Delivery, Depth, PushServer, Subscription},
};

/// How long whoever waits for a push has patience, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A push that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// For which device, by its name.
    pub phone: String,
    /// What it says.
    pub notice: Notice,
    /// Under which name the push service puts a later one in its place.
    pub topic: String,
    /// For how many seconds it is kept.
    pub ttl_s: u64,
    /// When, Unix milliseconds.
    pub at_ms: u64,
}

/// The devices; the push service ends when this is dropped.
#[derive(Debug)]
pub struct Phones {
    server: PushServer,
    link: Link,
    key: String,
    /// By name: a device may have subscribed again.
    subscriptions: Mutex<BTreeMap<String, Vec<Subscription>>>,
}

impl Phones {
    /// Starts it on a free port, for the cluster of this NATS, whose key browsers subscribe with.
    ///
    /// # Errors
    /// No port is free, or the cluster has no key for Web Push.
    pub async fn start(nats: impl Into<Login>) -> anyhow::Result<Self> {
        let server = PushServer::start(Depth::Opened).await?;
        let link = Link::to(server.address()).await?;
        let client = cluster::connect(nats, "natterjack phones", |_| {}).await?;
        let key = cluster::vapid(&jetstream::new(client)).await?;
        Ok(Self {
            server,
            link,
            key: key.public_key,
            subscriptions: Mutex::default(),
        })
    }

    /// A device under this name subscribes: what it registers with.
    ///
    /// # Errors
    /// The key of the edge is none.
    pub fn subscribe(&self, phone: &str) -> anyhow::Result<PushRequest> {
        let origin = format!("http://{}", self.address());
        let subscription = self.server.subscribe_by(&origin, &self.key)?;
        let request = serde_json::from_value(subscription.request(false))?;
        let mut all = self.subscriptions();
        all.entry(phone.to_owned()).or_default().push(subscription);
        Ok(request)
    }

    /// Where the push service is reached.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.link.address()
    }

    /// How pushes to a device are answered from now on.
    pub fn behave_to(&self, phone: &str, behaviour: &Behaviour) {
        for subscription in self.of(phone) {
            self.server.behave_for(&subscription, behaviour.clone());
        }
    }

    /// The weather between the notifier and the push service, from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.link.set(weather);
    }

    /// How often a push to a device was tried, whatever became of it.
    #[must_use]
    pub fn tries(&self, phone: &str) -> usize {
        let subscriptions = self.of(phone);
        let tries = subscriptions
            .iter()
            .map(|subscription| self.server.deliveries_to(subscription).len());
        tries.sum()
    }

    /// What a device was told so far.
    ///
    /// # Errors
    /// Something was taken that is no notice.
    pub fn told(&self, phone: &str) -> anyhow::Result<Vec<Taken>> {
        let mut told = Vec::new();
        for subscription in self.of(phone) {
            let deliveries = self.server.deliveries_to(&subscription);
            let accepted = deliveries.into_iter().filter(Delivery::accepted);
            for delivery in accepted {
                told.push(read(phone, delivery)?);
            }
        }
        Ok(told)
    }

    /// All that was taken so far.
    ///
    /// # Errors
    /// Something was taken that is no notice.
    pub fn taken(&self) -> anyhow::Result<Vec<Taken>> {
        let names: BTreeMap<String, String> = {
            let all = self.subscriptions();
            let names = all.iter().flat_map(|(phone, subscriptions)| {
                subscriptions
                    .iter()
                    .map(|subscription| (subscription.id.clone(), phone.clone()))
            });
            names.collect()
        };
        let mut taken = Vec::new();
        for delivery in self.server.deliveries() {
            if delivery.accepted() {
                let phone = names.get(&delivery.subscription).context("nobody's push")?;
                taken.push(read(phone, delivery)?);
            }
        }
        Ok(taken)
    }

    /// Waits until a device was told what `pick` looks for.
    ///
    /// # Errors
    /// It took too long, or a push was not in order.
    pub async fn until<T>(
        &self,
        phone: &str,
        what: &str,
        mut pick: impl FnMut(&Taken) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.nothing_wrong()?;
            let told = self.told(phone)?;
            if let Some(picked) = told.iter().find_map(&mut pick) {
                return Ok(picked);
            }
            if Instant::now() > deadline {
                bail!("waited in vain for: {what}; {phone} was told {told:?}");
            }
            sleep(POLL).await;
        }
    }

    /// Waits until a device was told of a message, and gives the push.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub async fn told_of(&self, phone: &str, conversation: Conversation, seq: u64) -> anyhow::Result<Taken> {
        self.until(phone, &format!("a push of {seq}"), |taken| {
            let is_it = matches!(&taken.notice, Notice::Message { conversation: of, seq: at, .. }
                if (*of, *at) == (conversation, seq));
            is_it.then(|| taken.clone())
        })
        .await
    }

    /// Fails if a push was not as the RFCs demand.
    ///
    /// # Errors
    /// What was wrong.
    pub fn nothing_wrong(&self) -> anyhow::Result<()> {
        let problems = self.server.problems();
        ensure!(problems.is_empty(), "pushes were not in order: {problems:?}");
        Ok(())
    }

    fn of(&self, phone: &str) -> Vec<Subscription> {
        self.subscriptions().get(phone).cloned().unwrap_or_default()
    }

    fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(phone: &str, delivery: Delivery) -> anyhow::Result<Taken> {
    let notice = delivery.notice.context("a push that was not opened")?;
    Ok(Taken {
        phone: phone.to_owned(),
        notice: serde_json::from_value(notice.clone()).with_context(|| notice.to_string())?,
        topic: delivery.topic,
        ttl_s: delivery.ttl_s,
        at_ms: delivery.at_ms,
    })
}
