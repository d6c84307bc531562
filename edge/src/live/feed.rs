//! The feeds: who listens for each connected user, and in each group with a local member.
//!
//! A feed is a list and a line of subscriptions; what comes is handed on by the reader's task.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use natterjack_nats::{GroupId, UserId, wire::CloseCode};

use super::{
    hub::Hub,
    membership::Places,
    outlet::{Delivery, Outlet},
    reader::Line,
    route::Target,
};
use crate::auth::Identity;

/// All that one connected user hears besides groups.
#[derive(Debug)]
pub(super) struct UserFeed {
    pub(super) user: UserId,
    pub(super) line: Line,
    outlets: RwLock<Vec<Outlet>>,
    places: Mutex<Places>,
}

impl UserFeed {
    /// The feed of a user who has just come, with the first session's outlet.
    pub(super) fn start(hub: &Hub, user: UserId, first: Outlet) -> Arc<Self> {
        hub.inner.reader.subscribe(|line| {
            let feed = Arc::new(Self {
                user,
                line,
                outlets: RwLock::new(vec![first]),
                places: Mutex::default(),
            });
            (Target::of_user(&feed), feed)
        })
    }

    /// Hands something to every session of the user; answers how many there are.
    pub(super) fn deliver(&self, delivery: &Delivery) -> usize {
        let outlets = self.read();
        for outlet in outlets.iter() {
            outlet.push(delivery.clone());
        }
        outlets.len()
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

    pub(super) fn stop(&self, hub: &Hub) {
        hub.inner.reader.unsubscribe(self.line.first, Target::OF_USER);
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Outlet>> {
        self.outlets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Outlet>> {
        self.outlets.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group with local members.
#[derive(Debug)]
pub(super) struct GroupFeed {
    pub(super) group: GroupId,
    pub(super) line: Line,
    users: RwLock<HashMap<UserId, Arc<UserFeed>>>,
}

impl GroupFeed {
    pub(super) fn start(hub: &Hub, group: GroupId) -> Arc<Self> {
        hub.inner.reader.subscribe(|line| {
            let feed = Arc::new(Self {
                group,
                line,
                users: RwLock::default(),
            });
            ([Target::Group(Arc::clone(&feed))], feed)
        })
    }

    /// Hands something to every session of the local members; answers how many there are.
    pub(super) fn deliver(&self, delivery: &Delivery) -> usize {
        self.read().values().map(|user| user.deliver(delivery)).sum()
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

    pub(super) fn stop(&self, hub: &Hub) {
        hub.inner.reader.unsubscribe(self.line.first, 1);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<UserId, Arc<UserFeed>>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<UserId, Arc<UserFeed>>> {
        self.users.write().unwrap_or_else(PoisonError::into_inner)
    }
}
