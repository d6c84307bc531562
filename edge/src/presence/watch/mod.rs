//! Watching: who of this edge's sessions wants to know whether somebody is there.
//!
//! One map for the edge: an entry for each watched user, with what is known of them and who watches,
//! and an entry for each session that watches, with its list. Changes come on the live reader, for as
//! many buckets of users as somebody is watched in; they are put into the queues of the sessions on the
//! spot, encoded once for all who see the same.
//!
//! What is told is put into a session's queue under the map's lock, answers too: so the order in a
//! queue is that of the changes, and what comes last counts. What a full queue refuses is marked in the
//! session's list, and told as it is by then once the queue was emptied.
//!
//! [`state`] is the map, [`session`] one list, [`related`] who shares a conversation with whom;
//! [`ask`] is the way of a client's request, and [`keep`] the task that asks again.

mod ask;
mod keep;
mod related;
mod session;
mod state;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use ask::count_users;
pub use keep::start;
use natterjack_nats::{UserId, headers, subjects, wire::PresenceRecord};
use state::State;
use tokio::sync::Notify;

use crate::metrics::{Count, EdgeMetrics};

/// Where changes of the users of a bucket come from.
pub trait Buckets: fmt::Debug + Send {
    /// Hears a bucket from now on.
    fn subscribe(&self, bucket: u16) -> Heard;
    /// Does not hear it any more.
    fn unsubscribe(&self, heard: Heard);
}

/// A bucket that is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The id of the subscription.
    pub subscription: u64,
    /// Passed once the server knows it.
    pub ticket: u64,
}

/// Names one list of one session; that of a list that has ended is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(NonZeroU64);

impl Key {
    /// `serial` is not 0.
    fn new(slot: u32, serial: u32) -> Option<Self> {
        NonZeroU64::new(u64::from(serial) << 32 | u64::from(slot)).map(Self)
    }

    /// As [`Self::raw`] has it; 0 names none.
    pub(crate) fn from_raw(raw: u64) -> Option<Self> {
        NonZeroU64::new(raw).map(Self)
    }

    /// In one word.
    pub(crate) const fn raw(self) -> u64 {
        self.0.get()
    }

    const fn slot(self) -> usize {
        (self.0.get() & 0xffff_ffff) as usize
    }

    const fn serial(self) -> u32 {
        (self.0.get() >> 32) as u32
    }
}

/// All that is watched on this edge; cheap to clone.
#[derive(Debug, Clone)]
pub struct Watches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to ask: of users, and of who shares conversations.
    users_due: Notify,
    related_due: Notify,
    metrics: EdgeMetrics,
}

impl Watches {
    /// Nobody watches yet.
    #[must_use]
    pub fn new(buckets: Box<dyn Buckets>, metrics: EdgeMetrics) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(buckets)),
            users_due: Notify::new(),
            related_due: Notify::new(),
            metrics,
        }))
    }

    /// A change was published. Answers how many sessions were told.
    pub(crate) fn heard(&self, subject: &str, header_block: &[u8], payload: &[u8]) -> usize {
        let mut state = self.state();
        let Some(user) = subjects::presence::parse(subject).filter(|user| state.is_watched(*user)) else {
            return 0;
        };
        let position = headers::scan(header_block).position;
        // An entry that an operator has deleted leaves a marker without a payload.
        let record = if payload.is_empty() {
            Ok(PresenceRecord::default())
        } else {
            serde_json::from_slice(payload)
        };
        let (Some(position), Ok(record)) = (position, record) else {
            drop(state);
            tracing::warn!(
                nats.subject = subject,
                bytes = payload.len(),
                "a change of presence that is none; ignored"
            );
            return 0;
        };
        let told = state.learn(user, position.seq, record);
        self.finish(state);
        self.0.metrics.presence.count("heard");
        told
    }

    /// NATS was away: what is known may be old.
    pub(crate) fn doubt(&self) {
        self.state().doubt();
        self.0.users_due.notify_one();
    }

    /// A user may share a conversation with others than before.
    pub(crate) fn moved(&self, user: UserId) {
        let mut state = self.state();
        state.moved(user);
        self.finish(state);
    }

    /// A 1:1 chat may just have begun.
    pub(crate) fn met(&self, viewer: UserId, peer: UserId) {
        let mut state = self.state();
        state.met(viewer, peer);
        self.finish(state);
    }

    /// A session's queue has room again after it had refused something.
    pub(crate) fn catch_up(&self, key: Key) {
        let mut state = self.state();
        state.catch_up(key);
        self.finish(state);
    }

    /// A session watches no longer.
    pub(crate) fn leave(&self, key: Key) {
        let mut state = self.state();
        state.leave(key);
        self.finish(state);
    }

    /// How many users are watched, by how many sessions.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        self.state().len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the map go, counts, and wakes who has to ask.
    fn finish(&self, mut state: MutexGuard<'_, State>) {
        let (counts, is_due) = (state.counts(), state.take_woken());
        let (users, sessions) = state.len();
        drop(state);
        let metrics = &self.0.metrics;
        metrics.watched_users.set(users as i64);
        metrics.watching.set(sessions as i64);
        metrics.presence.count_by("told", counts.told);
        metrics.presence.count_by("put_off", counts.put_off);
        if is_due {
            self.0.related_due.notify_one();
        }
    }
}
