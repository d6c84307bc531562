//! Times in which nothing can be concluded from a lease that is gone: while NATS is away, or was just now,
//! edges could not write theirs.
//!
//! It is told by both connections and by who follows the leases, and it holds from the first sign of an
//! outage: the markers of all leases may be the first thing that is heard after it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use natterjack_nats::limits::LEASE_TTL_MS;

/// After an outage nobody is offline for want of a lease until those who live had the time to write
/// theirs anew.
const SETTLE: Duration = Duration::from_millis(LEASE_TTL_MS);
/// Who could not ask the leader of the leases for longer than this saw an outage: two rewrites of a lease
/// may be late, and the next would find it expired.
const OUTAGE: Duration = Duration::from_secs(3);

/// What is known of outages; cheap to clone.
#[derive(Debug, Clone)]
pub struct Outages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Connections that are broken.
    broken: AtomicUsize,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    /// When the leader of the leases last answered.
    heard: Instant,
    settled: Instant,
}

impl Outages {
    /// There may have been one until now.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        Self(Arc::new(Inner {
            broken: AtomicUsize::new(0),
            times: Mutex::new(Times {
                heard: now,
                settled: now + SETTLE,
            }),
        }))
    }

    /// A connection that is about to be made.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection {
            outages: self.clone(),
            broken: Arc::default(),
        }
    }

    /// The leader of the leases has answered.
    pub fn heard(&self) {
        let mut times = self.times();
        let now = Instant::now();
        if now.duration_since(times.heard) > OUTAGE {
            times.settled = now + SETTLE;
        }
        times.heard = now;
    }

    /// For how long nobody is offline for want of a lease, at least.
    #[must_use]
    pub fn settles_in(&self) -> Duration {
        if self.0.broken.load(Ordering::SeqCst) > 0 {
            return SETTLE;
        }
        let times = self.times();
        if times.heard.elapsed() > OUTAGE {
            return SETTLE;
        }
        times.settled.saturating_duration_since(Instant::now())
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, which breaks and comes back; cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    outages: Outages,
    broken: Arc<AtomicBool>,
}

impl Connection {
    /// It broke.
    pub fn broke(&self) {
        if !self.broken.swap(true, Ordering::SeqCst) {
            self.outages.0.broken.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// It is there, for the first time or again.
    pub fn made(&self) {
        if self.broken.swap(false, Ordering::SeqCst) {
            // First this, so that at no moment there was none.
            self.outages.times().settled = Instant::now() + SETTLE;
            self.outages.0.broken.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that settled long ago.
    fn settled() -> Outages {
        let outages = Outages::new();
        outages.times().settled = Instant::now();
        assert!(outages.settles_in().is_zero());
        outages
    }

    #[test]
    fn it_settles_after_the_start() {
        assert!(Outages::new().settles_in() > SETTLE / 2);
    }

    #[test]
    fn nothing_settles_while_a_connection_is_broken() {
        let outages = settled();
        let (one, other) = (outages.connection(), outages.connection());
        one.made();
        other.made();
        assert!(outages.settles_in().is_zero(), "they were never broken");
        one.broke();
        one.broke();
        other.broke();
        one.made();
        assert_eq!(outages.settles_in(), SETTLE);
        other.made();
        outages.heard();
        assert!(
            outages.settles_in() > SETTLE / 2,
            "it begins when the last is back"
        );
    }

    #[test]
    fn a_leader_that_does_not_answer_is_an_outage() {
        let outages = settled();
        outages.times().heard = Instant::now()
            .checked_sub(OUTAGE * 2)
            .expect("a clock that has run");
        assert_eq!(outages.settles_in(), SETTLE);
        outages.heard();
        assert!(outages.settles_in() > SETTLE / 2);
        outages.times().settled = Instant::now();
        outages.heard();
        assert!(outages.settles_in().is_zero());
    }
}
