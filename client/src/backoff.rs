//! How long to wait before the next attempt: exponential backoff with full jitter.
//!
//! After a crowd lost its server at one moment, equal delays would bring it back at one moment.
//! Full jitter spreads it evenly, with the least work in total (AWS architecture blog,
//! "Exponential Backoff And Jitter").

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// The first and the longest upper bound of a delay.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The upper bound of the first delay.
    pub base: Duration,
    /// No delay is longer.
    pub max: Duration,
}

impl Backoff {
    /// A delay between nothing and `base · 2^failures`, at most `max`.
    pub fn delay(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        let bound = self.base.saturating_mul(1 << failures.min(30)).min(self.max);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.random_range(0..=nanos))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::SmallRng};

    use super::*;

    proptest! {
        #[test]
        fn a_delay_stays_within_its_bounds(failures: u32, seed: u64) {
            let backoff = Backoff { base: Duration::from_millis(200), max: Duration::from_secs(20) };
            let delay = backoff.delay(failures, &mut SmallRng::seed_from_u64(seed));
            prop_assert!(delay <= backoff.max);
            prop_assert!(delay <= backoff.base.saturating_mul(1 << failures.min(7)));
        }
    }
}
