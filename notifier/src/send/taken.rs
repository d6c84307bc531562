//! What was taken already.

use std::collections::{HashSet, VecDeque};

use super::job::Delivered;

/// Most pushes that are remembered.
const TAKEN_MAX: usize = 8_192;

/// Pushes that were taken and not confirmed to be acked, as when NATS went away in between: they come again,
/// and are not sent again from here.
#[derive(Debug, Default)]
pub struct Taken {
    set: HashSet<(u64, u64)>,
    order: VecDeque<(u64, u64)>,
}

impl Taken {
    /// A revision alone is not enough: the bucket may have been made anew.
    fn id(push: &Delivered) -> (u64, u64) {
        (push.revision, push.job.decided_at)
    }

    /// It was taken.
    pub fn note(&mut self, push: &Delivered) {
        let id = Self::id(push);
        if self.set.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > TAKEN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }

    /// Whether it was.
    pub fn has(&self, push: &Delivered) -> bool {
        self.set.contains(&Self::id(push))
    }
}
