//! What an operator is told again and again, but not each time that it happens.

use std::{
    collections::HashMap,
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

/// Names that are remembered at once. Strangers choose them.
const NAMES_MAX: usize = 1_024;

/// The same for each of many names.
#[derive(Debug, Default)]
pub struct SeldomEach(Mutex<HashMap<String, Instant>>);

impl SeldomEach {
    /// Whether it is to be told now of this name. While too many names are remembered, others are not told.
    pub fn now(&self, name: &str) -> bool {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.retain(|_, at| at.elapsed() < EVERY);
        }
        let due = match names.get(name) {
            Some(at) => at.elapsed() >= EVERY,
            None => names.len() < NAMES_MAX,
        };
        if due {
            names.insert(name.to_owned(), Instant::now());
        }
        due
    }

    /// It is over with this name. Whether it had been told.
    pub fn over(&self, name: &str) -> bool {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(name).is_some()
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

    #[test]
    fn each_name_for_itself_and_not_too_many() {
        let seldom = SeldomEach::default();
        assert!(seldom.now("a") && !seldom.now("a") && seldom.now("b"));
        assert!(!seldom.over("c") && seldom.over("a") && seldom.now("a"));
        let told = (0..2 * NAMES_MAX).filter(|name| seldom.now(&name.to_string()));
        assert_eq!(told.count(), NAMES_MAX - 2);
    }
}
