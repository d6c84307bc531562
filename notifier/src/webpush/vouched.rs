//! Which push services have taken a push of ours lately: our key and our clock are right there, and what is
//! refused for its signature is wrong itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What "lately" is: shorter than a wrong clock or a new key could go unnoticed.
const LATELY: Duration = Duration::from_mins(10);
/// Origins that are remembered.
const ORIGINS_MAX: usize = 1_024;

/// The last time of each origin, Unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Vouched(Mutex<HashMap<String, u64>>);

impl Vouched {
    /// It has taken one.
    pub(super) fn note(&self, origin: &str, now_ms: u64) {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = origins.get_mut(origin) {
            *last = now_ms;
            return;
        }
        if origins.len() >= ORIGINS_MAX {
            origins.retain(|_, last| is_lately(*last, now_ms));
        }
        // More at once are none that anybody has: they are forgotten.
        if origins.len() < ORIGINS_MAX {
            origins.insert(origin.to_owned(), now_ms);
        }
    }

    /// Whether it took one lately.
    pub(super) fn lately(&self, origin: &str, now_ms: u64) -> bool {
        let origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        origins.get(origin).is_some_and(|last| is_lately(*last, now_ms))
    }
}

fn is_lately(last_ms: u64, now_ms: u64) -> bool {
    u128::from(now_ms.abs_diff(last_ms)) < LATELY.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_and_is_bounded() {
        let vouched = Vouched::default();
        vouched.note("a", 1_000);
        assert!(vouched.lately("a", 600_999));
        assert!(!vouched.lately("a", 601_000));
        assert!(!vouched.lately("b", 1_000));
        for number in 0..2 * ORIGINS_MAX {
            vouched.note(&number.to_string(), 1_000);
        }
        assert_eq!(vouched.0.lock().expect("not poisoned").len(), ORIGINS_MAX);
        vouched.note("late", 700_000);
        assert!(vouched.lately("late", 700_000));
        assert_eq!(vouched.0.lock().expect("not poisoned").len(), 1);
    }
}
