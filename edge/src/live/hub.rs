//! Who is connected to this edge, and which feeds of the live tail that needs.
//!
//! Locks are taken in this order and never held across an await: state, then a user's places, then
//! a feed's listeners, the watches, or the reader's table.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use natterjack_nats::{DeviceId, GroupId, Shards, UserId, cluster::Address, wire::CloseCode};
use natterjack_runtime::{health::Health, lifecycle::Tasks};

use super::{
    doubt::{self, Doubt},
    feed::{GroupFeed, UserFeed},
    reader::{Options, Reader},
    route::{Router, Target},
};
use crate::{
    auth::Identity,
    connections::Connections,
    metrics::EdgeMetrics,
    presence::watch::{Buckets, Heard, Watches},
};

/// The live side of an edge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) nats: Connections,
    pub(super) shards: Shards,
    pub(super) metrics: EdgeMetrics,
    pub(super) tasks: Tasks,
    /// Most sessions of one user.
    pub(super) sessions_max: usize,
    pub(super) reader: Reader<Target>,
    watches: Watches,
    state: Mutex<State>,
}

/// The feeds that run. A feed is in here exactly as long as somebody listens to it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) users: HashMap<UserId, Arc<UserFeed>>,
    pub(super) groups: HashMap<GroupId, Arc<GroupFeed>>,
}

impl Hub {
    /// A hub without anybody connected, on a connection of its own, called `name`, to the same
    /// servers as the others.
    ///
    /// # Errors
    /// No NATS server answers.
    pub async fn start(
        (address, name): (Address, String),
        nats: Connections,
        shards: Shards,
        sessions_max: usize,
        metrics: EdgeMetrics,
        health: &Health,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let reader = Reader::new();
        let inner = Inner {
            watches: Watches::new(Box::new(reader.clone()), metrics.clone()),
            nats,
            shards,
            metrics,
            tasks: tasks.clone(),
            sessions_max,
            reader,
            state: Mutex::default(),
        };
        let hub = Self {
            inner: Arc::new(inner),
        };
        let doubt = Doubt::new();
        let router = Router::new(hub.clone(), doubt.clone());
        let reader = &hub.inner.reader;
        reader
            .start(Options { address, name }, router, health, tasks)
            .await?;
        doubt::start(hub.clone(), doubt, tasks);
        Ok(hub)
    }

    /// Ends the live tail's connection: nothing is heard any more.
    pub fn close(&self) {
        self.inner.reader.close();
    }

    /// Resolves once it was closed: after the last session, however long a drain takes.
    pub async fn closed(&self) {
        self.inner.reader.closed().await;
    }

    /// How many subscriptions the live tail has.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.inner.reader.len()
    }

    /// Whether a user who is connected here is in a group; `None` if the edge does not know.
    #[must_use]
    pub fn is_member(&self, user: UserId, group: GroupId) -> Option<bool> {
        self.feed(user)?.places().member(group)
    }

    /// Who watches whom.
    #[must_use]
    pub fn watches(&self) -> &Watches {
        &self.inner.watches
    }

    /// Waits up to `limit` until a subscription is heard; whether it is.
    pub(crate) async fn hears(&self, ticket: u64, limit: Duration) -> bool {
        self.inner.reader.passes(ticket, limit).await
    }

    /// Waits up to `limit` until all that was subscribed so far is heard; whether it is.
    pub(crate) async fn round_trip(&self, limit: Duration) -> bool {
        self.inner.reader.round_trip(limit).await
    }

    /// Ends the sessions of a user's device if `revoked` says so of the token that they came with.
    pub fn end_revoked(&self, user: UserId, device: DeviceId, revoked: impl Fn(&Identity) -> bool) {
        if let Some(feed) = self.feed(user) {
            feed.end_where(CloseCode::Revoked, |identity| {
                identity.device == device && revoked(identity)
            });
        }
    }

    /// Ends all sessions of which `revoked` says so.
    pub fn end_all_revoked(&self, revoked: impl Fn(&Identity) -> bool) {
        for feed in self.feeds() {
            feed.end_where(CloseCode::Revoked, &revoked);
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn feed(&self, user: UserId) -> Option<Arc<UserFeed>> {
        self.state().users.get(&user).cloned()
    }

    pub(super) fn local(&self, user: UserId, then: impl FnOnce(&Arc<UserFeed>)) {
        if let Some(feed) = self.feed(user) {
            then(&feed);
        }
    }

    pub(super) fn feeds(&self) -> Vec<Arc<UserFeed>> {
        self.state().users.values().cloned().collect()
    }
}

impl Buckets for Reader<Target> {
    fn subscribe(&self, bucket: u16) -> Heard {
        let line = self.subscribe(|line| ([Target::Presence(bucket)], line));
        Heard {
            subscription: line.first,
            ticket: line.ticket,
        }
    }

    fn unsubscribe(&self, heard: Heard) {
        self.unsubscribe(heard.subscription, 1);
    }
}

impl State {
    /// The feed of a group with this user among its listeners; started if it was not there.
    pub(super) fn enter(&mut self, hub: &Hub, group: GroupId, user: &Arc<UserFeed>) -> Arc<GroupFeed> {
        let feed = self.groups.entry(group).or_insert_with(|| {
            hub.inner.metrics.groups.inc();
            GroupFeed::start(hub, group)
        });
        feed.add(user);
        Arc::clone(feed)
    }

    /// Takes a user from a group's listeners; the feed stops after the last.
    pub(super) fn leave(&mut self, hub: &Hub, group: GroupId, user: UserId) {
        if let Some(feed) = self.groups.get(&group)
            && feed.remove(user)
        {
            feed.stop(hub);
            self.groups.remove(&group);
            hub.inner.metrics.groups.dec();
        }
    }
}
