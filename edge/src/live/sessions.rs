//! Coming and going: a session attaches to its user's feed before it asks what it missed, so that
//! nothing falls between the two.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use natterjack_nats::{
    Conversation, UserId,
    services::conversations::{OpenSession, Session},
    wire::{Code, WireError},
};

use super::{
    feed::UserFeed,
    hub::Hub,
    outlet::{Delivery, Inlet, Outlet, QueueLimits, outlet},
};
use crate::presence::watch::Key;

/// How long a user's feed may take to be heard before that counts as an outage.
const READY: Duration = Duration::from_secs(5);
/// Cursors that a service is told of: more would not fit into one message of NATS, whose default is
/// 1 MiB, while a client's first frame may be larger.
const CURSORS_MAX: usize = 10_000;

/// Deliveries that wait for somebody who only listens.
const EAR_FRAMES: usize = 8;

/// Why a session did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The user has as many sessions here as allowed.
    #[error("the user has too many connections")]
    TooMany,
    /// What a service answered, or that it is away.
    #[error(transparent)]
    Service(#[from] WireError),
}

/// The highest cursors, as many as may be told. A conversation that is left out is called behind
/// although it may not be; the session, which has all cursors, knows better.
fn newest(mut cursors: BTreeMap<Conversation, u64>) -> BTreeMap<Conversation, u64> {
    if cursors.len() > CURSORS_MAX {
        let mut all: Vec<_> = cursors.into_iter().collect();
        all.select_nth_unstable_by_key(CURSORS_MAX, |(_, cursor)| Reverse(*cursor));
        all.truncate(CURSORS_MAX);
        cursors = all.into_iter().collect();
    }
    cursors
}

/// A session's place in the hub; it leaves when this is dropped.
#[derive(Debug)]
pub struct Attached {
    hub: Hub,
    feed: Arc<UserFeed>,
    outlet: Outlet,
    /// What the session watches: a [`Key`] in one word.
    watch: AtomicU64,
}

impl Attached {
    /// The queue that the live tail fills.
    #[must_use]
    pub const fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    /// Whose session it is.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.feed.user
    }

    /// Names the list of people whom the session watches; 0 if there is none.
    pub(crate) const fn watch_key(&self) -> &AtomicU64 {
        &self.watch
    }

    /// There is room in the queue again.
    pub(crate) fn catch_up(&self) {
        if let Some(key) = Key::from_raw(self.watch.load(Ordering::Relaxed)) {
            self.hub.watches().catch_up(key);
        }
    }

    /// Waits until everything that is published from now on is heard, then asks what there is.
    ///
    /// # Errors
    /// `unavailable` if NATS or the service is away; `unauthorized` if there is no such user.
    pub async fn open(&self, resume: Option<BTreeMap<Conversation, u64>>) -> Result<Session, WireError> {
        if !self.hub.hears_all(self.feed.line, READY).await {
            return Err(WireError::new(
                Code::Unavailable,
                "the server's own network is disturbed; try again soon",
            )
            .retry_after_ms(1_000));
        }
        let request = OpenSession {
            user: self.feed.user,
            resume: resume.map(newest),
        };
        self.hub.load(&self.feed, request).await
    }

    /// Whether the user may hear a conversation, as far as the edge knows.
    #[must_use]
    pub fn hears(&self, conversation: &Conversation) -> bool {
        super::membership::hears(conversation, self.feed.user, &self.feed.places())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(key) = Key::from_raw(*self.watch.get_mut()) {
            self.hub.watches().leave(key);
        }
        let mut state = self.hub.state();
        if self.feed.remove(&self.outlet) {
            let user = self.feed.user;
            self.feed.stop(&self.hub);
            state.users.remove(&user);
            for group in self.feed.places().groups() {
                state.leave(&self.hub, group, user);
            }
            self.hub.inner.metrics.users.dec();
        }
    }
}

/// Hears that anything happened for a user, without being a session: for long polling.
#[derive(Debug)]
pub struct Ear {
    inlet: Inlet,
    _attached: Attached,
}

impl Ear {
    /// Resolves once a message for the user was stored, or might have been: whoever is nudged may have
    /// missed one.
    pub async fn next(&mut self) {
        let mut deliveries = vec![];
        // Its end wakes as well.
        while self.inlet.recv_many(&mut deliveries, EAR_FRAMES).await.is_ok() {
            let of_message = |delivery| !matches!(delivery, Delivery::Ephemeral(_) | Delivery::Room);
            if deliveries.drain(..).any(of_message) {
                return;
            }
        }
    }
}

impl Hub {
    /// Gives a session its place in its user's feed, if there is one left.
    ///
    /// # Errors
    /// [`OpenError::TooMany`].
    pub fn attach(&self, user: UserId, outlet: Outlet) -> Result<Attached, OpenError> {
        let mut state = self.state();
        let feed = match state.users.get(&user) {
            Some(feed) if feed.sessions() >= self.inner.sessions_max => return Err(OpenError::TooMany),
            Some(feed) => {
                feed.add(outlet.clone());
                Arc::clone(feed)
            }
            None => {
                let feed = UserFeed::start(self, user, outlet.clone());
                state.users.insert(user, Arc::clone(&feed));
                self.inner.metrics.users.inc();
                feed
            }
        };
        drop(state);
        Ok(Attached {
            hub: self.clone(),
            feed,
            outlet,
            watch: AtomicU64::new(0),
        })
    }

    /// Listens for a user without opening a session. Everything that is stored after this returns
    /// is heard: sync first, then wait, then sync again.
    ///
    /// # Errors
    /// `rate_limited` if too many sessions and polls of the user run here; `unavailable`.
    pub async fn listen(&self, user: UserId) -> Result<Ear, WireError> {
        // One delivery is enough to wake; more than these end the queue, which wakes as well.
        let limits = QueueLimits {
            frames: EAR_FRAMES,
            bytes: 1 << 20,
        };
        let (outlet, inlet) = outlet(None, limits, self.inner.metrics.clone());
        let attached = self
            .attach(user, outlet)
            .map_err(|error| WireError::new(Code::RateLimited, error.to_string()).retry_after_ms(5_000))?;
        let known = attached.feed.places().is_loaded();
        if !known || !self.hears_all(attached.feed.line, READY).await {
            attached.open(None).await?;
        }
        Ok(Ear {
            inlet,
            _attached: attached,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_cursors_fit_into_one_message() {
        let me = UserId::from_parts(1, 1);
        let cursors: BTreeMap<_, _> = (0..20_000_u64)
            .map(|n| {
                (
                    Conversation::dm(me, UserId::from_parts(2, n.into())),
                    (1 << 52) + n,
                )
            })
            .collect();
        let kept = newest(cursors.clone());
        assert_eq!(kept.len(), CURSORS_MAX);
        assert_eq!(kept.values().min(), Some(&((1 << 52) + 10_000)));
        let request = |resume| OpenSession {
            user: me,
            resume: Some(resume),
        };
        let bytes = |resume| serde_json::to_vec(&request(resume)).expect("plain").len();
        assert!(bytes(kept.clone()) < 1 << 20 && bytes(cursors) > 1 << 20);
        assert_eq!(newest(kept.clone()), kept);
    }
}
