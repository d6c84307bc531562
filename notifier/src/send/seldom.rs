//! What an operator is told again and again, but not each time that it happens.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// When something was last told.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it is to be told now; then it is not for a while.
    pub fn now(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    /// It is over: the next time is told at once. Whether it had been told.
    pub fn over(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_until_it_is_over() {
        let seldom = Seldom::default();
        assert!(!seldom.over());
        assert!(seldom.now() && !seldom.now());
        assert!(seldom.over() && seldom.now());
    }
}
