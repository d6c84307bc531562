//! The time by the servers' clock.
//!
//! How old an event is decides whether somebody is offline or a message is pushed, and it is stamped by the
//! server that stored it. The clock of this machine, which may be wrong, is left out of it: the highest time
//! that a server was heard to say, and how long ago by a clock that only counts, make the time now. The
//! estimate is late by as much as the fastest message was on its way.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// An estimate further ahead than this of what a server says is wrong: some server's clock was, and has
/// been set right.
const AHEAD_MS_MAX: u64 = 5_000;

/// An estimate that gets better with what is heard; cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerTime {
    started: Instant,
    /// The server's time when `started` was, in Unix milliseconds.
    base_ms: Arc<Mutex<u64>>,
}

impl ServerTime {
    /// Nothing was heard yet, and the time is that of the epoch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            base_ms: Arc::default(),
        }
    }

    /// A server said that it is `unix_ms`.
    pub fn heard(&self, unix_ms: u64) {
        let base_ms = unix_ms.saturating_sub(self.elapsed_ms());
        let mut base = self.base_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if *base > base_ms.saturating_add(AHEAD_MS_MAX) {
            *base = base_ms;
        }
        *base = (*base).max(base_ms);
    }

    /// A server stored something at `unix_ms`: it is later than that by now, and nobody knows by how much.
    pub fn at_least(&self, unix_ms: u64) {
        let base_ms = unix_ms.saturating_sub(self.elapsed_ms());
        let mut base = self.base_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *base = (*base).max(base_ms);
    }

    /// Unix milliseconds, by the servers.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let base_ms = *self.base_ms.lock().unwrap_or_else(PoisonError::into_inner);
        base_ms + self.elapsed_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for ServerTime {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_counts_and_goes_on() {
        let time = ServerTime::new();
        time.heard(1_700_000_000_000);
        let first = time.now_ms();
        assert!(first >= 1_700_000_000_000);
        time.heard(1_700_000_000_000 - AHEAD_MS_MAX);
        assert!(time.now_ms() >= first);
        time.heard(1_700_000_100_000);
        assert!((1_700_000_100_000..1_700_000_160_000).contains(&time.now_ms()));
    }

    #[test]
    fn what_is_old_does_not_set_the_clock_back() {
        let time = ServerTime::new();
        time.at_least(1_700_000_000_000);
        let first = time.now_ms();
        assert!(first >= 1_700_000_000_000);
        time.at_least(1_600_000_000_000);
        assert!(time.now_ms() >= first);
    }

    #[test]
    fn a_wrong_time_is_given_up() {
        let time = ServerTime::new();
        time.heard(1_700_000_900_000);
        time.heard(1_700_000_000_000);
        assert!((1_700_000_000_000..1_700_000_060_000).contains(&time.now_ms()));
    }
}
