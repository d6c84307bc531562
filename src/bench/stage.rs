//! In which stage a measurement is, as its workers see it.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use hdrhistogram::Histogram;

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;
const DIGITS: u8 = 3;

/// Before it, the warm-up: 0.
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// Shared by those who drive and those who measure; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stage(Arc<AtomicU8>);

impl Stage {
    /// From now on it counts.
    pub fn measure(&self) {
        self.0.store(MEASURE, Ordering::Relaxed);
    }

    /// From now on nothing is begun any more.
    pub fn stop(&self) {
        self.0.store(STOP, Ordering::Relaxed);
    }

    /// Whether what happens now counts.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MEASURE
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOP
    }
}

/// What one worker counts.
#[derive(Debug)]
pub struct Tally {
    /// Latencies in microseconds.
    pub latencies_us: Histogram<u64>,
    stage: Stage,
}

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never with the bounds that are used here.
    pub fn new(stage: &Stage) -> anyhow::Result<Self> {
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS)?;
        Ok(Self {
            latencies_us,
            stage: stage.clone(),
        })
    }

    /// Something was done that took so long; counted if it happens to be the time for that.
    pub fn done(&mut self, latency: std::time::Duration) {
        if self.stage.counts() {
            self.latencies_us
                .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// What another worker counted.
    ///
    /// # Errors
    /// Never with equal bounds.
    pub fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.latencies_us.add(&other.latencies_us)?)
    }
}
