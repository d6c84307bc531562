//! How long to wait before a push is tried again.

use std::time::Duration;

use rand::{Rng, RngExt as _};

/// The shortest pause of our own.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause of our own.
const LAST: Duration = Duration::from_secs(300);
/// No push service may ask for more.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// How much later than asked for we come at most, so that not all come back at once.
const SPREAD_MAX: Duration = Duration::from_secs(30);

/// The pause after the `count`th failure in a row: anything up to a bound that doubles each time, so that
/// those who failed together do not come back together ("full jitter", as the AWS Architecture Blog calls it
/// in "Exponential Backoff And Jitter").
pub fn pause(count: u32, random: &mut impl Rng) -> Duration {
    between(FIRST, ceiling(count), random)
}

/// The same for whole origins, which begin higher.
pub fn pause_from(first: Duration, count: u32, random: &mut impl Rng) -> Duration {
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(16));
    let upper = doubled.min(LAST);
    // At least half of it: a pause is there to let the other side breathe.
    between(upper / 2, upper, random)
}

/// The pause that a push service asked for, within reason, and a little longer.
pub fn as_asked(after: Duration, random: &mut impl Rng) -> Duration {
    let after = after.min(RETRY_AFTER_MAX);
    after + between(Duration::ZERO, (after / 4).min(SPREAD_MAX), random)
}

/// A pause until something that happens in `rest`, spread over as long again within bounds.
pub fn after(rest: Duration, random: &mut impl Rng) -> Duration {
    rest + between(Duration::ZERO, rest.clamp(FIRST, SPREAD_MAX), random)
}

fn ceiling(count: u32) -> Duration {
    FIRST.saturating_mul(1 << count.clamp(1, 16)).min(LAST)
}

fn between(lower: Duration, upper: Duration, random: &mut impl Rng) -> Duration {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random.random_range(nanos(lower)..=nanos(upper.max(lower))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    proptest! {
        #[test]
        fn pauses_stay_within_their_bounds(count in 0..u32::MAX, seed: u64, asked_s in 0..1_000_000_u64) {
            let random = &mut StdRng::seed_from_u64(seed);
            let of_ours = pause(count, random);
            prop_assert!(of_ours >= FIRST && of_ours <= LAST && of_ours <= ceiling(count));
            let of_an_origin = pause_from(Duration::from_secs(30), count, random);
            prop_assert!(of_an_origin >= Duration::from_secs(15) && of_an_origin <= LAST);
            let asked = Duration::from_secs(asked_s);
            let heeded = as_asked(asked, random);
            prop_assert!(heeded >= asked.min(RETRY_AFTER_MAX));
            prop_assert!(heeded <= asked.min(RETRY_AFTER_MAX) + SPREAD_MAX);
        }
    }

    #[test]
    fn bounds_double_and_those_who_fail_together_part() {
        assert_eq!(ceiling(1), Duration::from_secs(2));
        assert_eq!(ceiling(2), Duration::from_secs(4));
        assert_eq!(ceiling(60), LAST);
        let random = &mut StdRng::seed_from_u64(7);
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|_| pause(8, random)).collect();
        assert_eq!(pauses.len(), 100);
        let (first, last) = (pauses.first().expect("some"), pauses.last().expect("some"));
        assert!(*last - *first > Duration::from_secs(120), "{first:?} {last:?}");
    }
}
