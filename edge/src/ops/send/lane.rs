//! The order of what one session sends, kept through retries.
//!
//! As long as all is well, messages are published one behind the other without waiting for acks.
//! Once one has to be published again, nothing behind it is published before it: what was in
//! flight follows in its order, then what came since.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::connections::{Link, Publisher};

/// What one session has under way, in order.
#[derive(Debug, Default)]
pub struct Lane {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Ascending by number.
    open: VecDeque<(u64, Phase)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// To be published, for the first time or again.
    Waits,
    /// Its ack may come over the link of this generation.
    Published(u64),
}

/// A message's place in its lane, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lane: Arc<Lane>,
    number: u64,
}

impl Lane {
    /// The place behind all others.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.open.push_back((number, Phase::Waits));
        Place {
            lane: Arc::clone(self),
            number,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether everything before it is on its way over the same link.
    pub(super) fn may_publish(&self, generation: u64) -> bool {
        let state = self.lane.state();
        let mut before = state.open.iter().take_while(|(number, _)| *number < self.number);
        before.all(|(_, phase)| *phase == Phase::Published(generation))
    }

    /// Resolves with the link over which it may be published now.
    pub(super) async fn turn(&self, publisher: &Publisher) -> Link {
        let mut links = publisher.links();
        loop {
            let mut changed = std::pin::pin!(self.lane.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let link = links.borrow_and_update().clone();
            if let Some(link) = link.filter(|link| self.may_publish(link.generation)) {
                return link;
            }
            tokio::select! {
                () = changed => {}
                link = links.changed() => if link.is_err() {
                    // No link comes any more: whoever waits has a deadline.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// It was handed to the link of this generation.
    pub(super) fn published(&self, generation: u64) {
        self.set(Phase::Published(generation));
        self.lane.changed.notify_waiters();
    }

    /// It has to be published again.
    pub(super) fn failed(&self) {
        self.set(Phase::Waits);
    }

    /// It is known what became of it: nobody waits for it any more.
    pub(super) fn done(&self) {
        let mut state = self.lane.state();
        if let Ok(index) = state
            .open
            .binary_search_by_key(&self.number, |(number, _)| *number)
        {
            state.open.remove(index);
        }
        drop(state);
        self.lane.changed.notify_waiters();
    }

    fn set(&self, phase: Phase) {
        let mut state = self.lane.state();
        if let Ok(index) = state
            .open
            .binary_search_by_key(&self.number, |(number, _)| *number)
        {
            state.open[index].1 = phase;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_published_before_what_has_to_be_published_again() {
        let lane = Arc::<Lane>::default();
        let places: Vec<_> = (0..4).map(|_| lane.enter()).collect();
        assert!(places[0].may_publish(1));
        assert!(!places[1].may_publish(1), "the first is not on its way");
        for place in &places[..3] {
            assert!(place.may_publish(1), "pipelined");
            place.published(1);
        }
        // The link breaks: the second learns of it first.
        places[1].failed();
        assert!(!places[1].may_publish(2), "the first is lost with the old link");
        assert!(!places[3].may_publish(2));
        places[0].failed();
        assert!(places[0].may_publish(2));
        places[0].published(2);
        assert!(places[1].may_publish(2), "what follows need not wait for an ack");
        places[1].published(2);
        assert!(!places[3].may_publish(2), "the third is still of the old link");
        places[2].failed();
        places[2].published(2);
        assert!(places[3].may_publish(2));
    }

    #[test]
    fn who_is_done_leaves() {
        let lane = Arc::<Lane>::default();
        let (first, second) = (lane.enter(), lane.enter());
        assert!(!second.may_publish(1));
        drop(first);
        assert!(second.may_publish(1));
        drop(second);
        assert!(lane.state().open.is_empty());
    }
}
