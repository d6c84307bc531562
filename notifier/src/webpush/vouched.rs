//! Which push services have taken a push of ours lately: our key and our clock are right there, and a push
//! that is refused for its signature is wrong itself. Unless it is not the only one: then something has gone
//! wrong since, here or there.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What "lately" is: shorter than a wrong clock or a new key could go unnoticed.
const LATELY: Duration = Duration::from_mins(10);
/// So many refusals in a row are blamed on the pushes; more are an operator's to look at.
const REFUSALS_MAX: u32 = 2;
/// Origins that are remembered.
const ORIGINS_MAX: usize = 1_024;

/// What is known of an origin.
#[derive(Debug)]
struct Known {
    /// When it last took a push, Unix milliseconds.
    taken_ms: u64,
    /// Signatures that it has refused since.
    refusals: u32,
}

/// The origins.
#[derive(Debug, Default)]
pub(super) struct Vouched(Mutex<HashMap<String, Known>>);

impl Vouched {
    /// It has taken one.
    pub(super) fn taken(&self, origin: &str, now_ms: u64) {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Known {
            taken_ms: now_ms,
            refusals: 0,
        };
        if let Some(last) = origins.get_mut(origin) {
            *last = known;
            return;
        }
        if origins.len() >= ORIGINS_MAX {
            origins.retain(|_, known| is_lately(known.taken_ms, now_ms));
        }
        // More at once are none that anybody has: they are forgotten.
        if origins.len() < ORIGINS_MAX {
            origins.insert(origin.to_owned(), known);
        }
    }

    /// It has refused a signature: whether that is the push's fault.
    pub(super) fn refused(&self, origin: &str, now_ms: u64) -> bool {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = origins.get_mut(origin) else {
            return false;
        };
        known.refusals = known.refusals.saturating_add(1);
        is_lately(known.taken_ms, now_ms) && known.refusals <= REFUSALS_MAX
    }
}

fn is_lately(last_ms: u64, now_ms: u64) -> bool {
    u128::from(now_ms.abs_diff(last_ms)) < LATELY.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_are_the_pushs_fault_and_many_are_not() {
        let vouched = Vouched::default();
        assert!(!vouched.refused("a", 1_000), "nothing was taken yet");
        vouched.taken("a", 1_000);
        assert!(!vouched.refused("b", 1_000));
        let blames = |count| {
            (0..count)
                .map(|_| vouched.refused("a", 2_000))
                .collect::<Vec<_>>()
        };
        assert_eq!(blames(4), [true, true, false, false]);
        vouched.taken("a", 3_000);
        assert_eq!(blames(3), [true, true, false]);
    }

    #[test]
    fn it_forgets_and_is_bounded() {
        let vouched = Vouched::default();
        vouched.taken("a", 1_000);
        assert!(vouched.refused("a", 600_999));
        assert!(!vouched.refused("a", 601_000));
        for number in 0..2 * ORIGINS_MAX {
            vouched.taken(&number.to_string(), 1_000);
        }
        assert_eq!(vouched.0.lock().expect("not poisoned").len(), ORIGINS_MAX);
        vouched.taken("late", 700_000);
        assert!(vouched.refused("late", 700_000));
        assert_eq!(vouched.0.lock().expect("not poisoned").len(), 1);
    }
}
