//! The feeds: one small task for each connected user and for each group with a local member, which
//! reads its subscriptions and hands what comes to the sessions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use async_nats::{Client, Message, SubscribeError, Subscriber};
use futures::{StreamExt, stream::SelectAll};
use natterjack_nats::{
    Conversation, GroupId, UserId, subjects,
    wire::{CloseCode, Event},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    frame,
    hub::Hub,
    membership::Places,
    outlet::{Delivery, Outlet},
};
use crate::{auth::Identity, metrics::Count};

/// How long a round trip that proves a subscription may take before it is tried again.
const BARRIER: Duration = Duration::from_secs(10);

/// Whether a feed hears everything, and how to stop it.
#[derive(Debug)]
struct Life {
    ready: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Life {
    fn new() -> Self {
        Self {
            ready: watch::Sender::new(false),
            stop: CancellationToken::new(),
        }
    }

    async fn is_ready(&self, limit: Duration) -> bool {
        let mut ready = self.ready.subscribe();
        timeout(limit, ready.wait_for(|ready| *ready))
            .await
            .is_ok_and(|ready| ready.is_ok())
    }
}

/// All that one connected user hears besides groups.
#[derive(Debug)]
pub(super) struct UserFeed {
    pub(super) user: UserId,
    outlets: RwLock<Vec<Outlet>>,
    places: Mutex<Places>,
    life: Life,
}

impl UserFeed {
    /// Starts the feed of a user who has just come, with the first session's outlet.
    pub(super) fn start(hub: &Hub, user: UserId, first: Outlet) -> Arc<Self> {
        let feed = Arc::new(Self {
            user,
            outlets: RwLock::new(vec![first]),
            places: Mutex::default(),
            life: Life::new(),
        });
        let (hub, this) = (hub.clone(), Arc::clone(&feed));
        hub.inner.tasks.clone().spawn_finite("live.user", async move {
            let shutdown = hub.inner.tasks.shutdown().clone();
            tokio::select! {
                () = this.run(&hub) => {}
                () = this.life.stop.cancelled() => {}
                () = shutdown.killed() => {}
            }
            Ok(())
        });
        feed
    }

    async fn run(self: &Arc<Self>, hub: &Hub) {
        let patterns = subjects::live::of_user(self.user);
        let Ok(mut messages) = subscribe(&hub.inner.nats.live, patterns).await else {
            return;
        };
        while !hub.inner.barrier.pass(BARRIER).await {}
        self.life.ready.send_replace(true);
        let to_self = Conversation::dm(self.user, self.user);
        while let Some((pattern, message)) = messages.next().await {
            let Some((conversation, delivery)) = frame::read(&message) else {
                complain(&message);
                continue;
            };
            // Notes to self match both patterns of 1:1 chats.
            if conversation == to_self && pattern == 1 {
                continue;
            }
            hub.inner.metrics.live.count("user");
            self.deliver(&delivery);
            let happened = matches!(conversation, Conversation::User(_)).then(|| frame::event(&message));
            if let Some(happened) = happened.flatten() {
                match happened.event {
                    Event::Joined { group } => hub.joined(self, group, happened.order),
                    Event::Left { group } => hub.left(self, group, happened.order),
                    _ => {}
                }
            }
        }
    }

    /// Hands something to every session of the user.
    pub(super) fn deliver(&self, delivery: &Delivery) {
        for outlet in self.read().iter() {
            outlet.push(delivery.clone());
        }
    }

    pub(super) fn add(&self, outlet: Outlet) -> usize {
        let mut outlets = self.write();
        outlets.push(outlet);
        outlets.len()
    }

    /// Takes an outlet away; whether it was the last.
    pub(super) fn remove(&self, outlet: &Outlet) -> bool {
        let mut outlets = self.write();
        outlets.retain(|other| !other.is(outlet));
        outlets.is_empty()
    }

    pub(super) fn sessions(&self) -> usize {
        self.read().len()
    }

    pub(super) fn end_where(&self, code: CloseCode, ends: impl Fn(&Identity) -> bool) {
        for outlet in self
            .read()
            .iter()
            .filter(|outlet| outlet.identity().is_some_and(|identity| ends(&identity)))
        {
            outlet.end(code);
        }
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that is published from now on is heard; waits for it up to `limit`.
    pub(super) async fn is_ready(&self, limit: Duration) -> bool {
        self.life.is_ready(limit).await
    }

    pub(super) fn stop(&self) {
        self.life.stop.cancel();
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Outlet>> {
        self.outlets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Outlet>> {
        self.outlets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group with local members.
#[derive(Debug)]
pub(super) struct GroupFeed {
    group: GroupId,
    users: RwLock<HashMap<UserId, Arc<UserFeed>>>,
    life: Life,
}

impl GroupFeed {
    pub(super) fn start(hub: &Hub, group: GroupId) -> Arc<Self> {
        let feed = Arc::new(Self {
            group,
            users: RwLock::default(),
            life: Life::new(),
        });
        let (hub, this) = (hub.clone(), Arc::clone(&feed));
        hub.inner.tasks.clone().spawn_finite("live.group", async move {
            let shutdown = hub.inner.tasks.shutdown().clone();
            tokio::select! {
                () = this.run(&hub) => {}
                () = this.life.stop.cancelled() => {}
                () = shutdown.killed() => {}
            }
            Ok(())
        });
        feed
    }

    async fn run(self: &Arc<Self>, hub: &Hub) {
        let subject = subjects::live::subject(&Conversation::Group(self.group));
        let Ok(mut messages) = subscribe(&hub.inner.nats.live, [subject]).await else {
            return;
        };
        while !hub.inner.barrier.pass(BARRIER).await {}
        self.life.ready.send_replace(true);
        while let Some((_, message)) = messages.next().await {
            let Some((_, delivery)) = frame::read(&message) else {
                complain(&message);
                continue;
            };
            hub.inner.metrics.live.count("group");
            for user in self.read().values() {
                user.deliver(&delivery);
            }
            // The event itself was delivered: the cut is exact in the order of the stream.
            if let Some(happened) = frame::event(&message) {
                match happened.event {
                    Event::MemberRemoved { user } => {
                        hub.local(user, |feed| hub.left(feed, self.group, happened.order))
                    }
                    Event::MemberAdded { user, .. } => {
                        hub.local(user, |feed| hub.joined(feed, self.group, happened.order))
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn add(&self, user: &Arc<UserFeed>) {
        self.write().insert(user.user, Arc::clone(user));
    }

    /// Takes a user away; whether it was the last.
    pub(super) fn remove(&self, user: UserId) -> bool {
        let mut users = self.write();
        users.remove(&user);
        users.is_empty()
    }

    pub(super) async fn is_ready(&self, limit: Duration) -> bool {
        self.life.is_ready(limit).await
    }

    pub(super) fn stop(&self) {
        self.life.stop.cancel();
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<UserId, Arc<UserFeed>>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<UserId, Arc<UserFeed>>> {
        self.users.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    fn local(&self, user: UserId, then: impl FnOnce(&Arc<UserFeed>)) {
        if let Some(feed) = self.feed(user) {
            then(&feed);
        }
    }
}

type Numbered = futures::stream::Map<Subscriber, Box<dyn FnMut(Message) -> (usize, Message) + Send>>;

/// Subscribes to some patterns; each message comes with its pattern's index.
async fn subscribe(
    client: &Client,
    patterns: impl IntoIterator<Item = String>,
) -> Result<SelectAll<Numbered>, SubscribeError> {
    let mut all = SelectAll::new();
    for (index, pattern) in patterns.into_iter().enumerate() {
        let number: Box<dyn FnMut(Message) -> (usize, Message) + Send> =
            Box::new(move |message| (index, message));
        all.push(client.subscribe(pattern).await?.map(number));
    }
    Ok(all)
}

fn complain(message: &Message) {
    tracing::warn!(nats.subject = %message.subject, bytes = message.payload.len(), "a live message that is none; ignored");
}
