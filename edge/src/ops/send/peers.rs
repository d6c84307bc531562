//! Users that are known to exist, so that a 1:1 chat asks once and not for every message.

use std::{
    collections::HashSet,
    mem,
    sync::{Mutex, PoisonError},
};

use natterjack_nats::UserId;

/// Users that one generation holds; there are two.
const GENERATION: usize = 50_000;

/// A bounded set of users. It forgets those that were not asked for lately, in halves, which needs
/// no bookkeeping per entry; users never cease to exist, so that nothing in it goes stale.
#[derive(Debug, Default)]
pub struct Peers(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<UserId>,
    old: HashSet<UserId>,
}

impl Peers {
    /// Whether the user is known to exist.
    pub fn knows(&self, user: UserId) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.young.contains(&user) {
            return true;
        }
        let known = all.old.contains(&user);
        if known {
            all.insert(user);
        }
        known
    }

    /// The user exists.
    pub fn learn(&self, user: UserId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user);
    }
}

impl Generations {
    fn insert(&mut self, user: UserId) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let peers = Peers::default();
        let user = |n: usize| UserId::from_parts(n as u64, 0);
        peers.learn(user(0));
        for n in 1..3 * GENERATION {
            peers.learn(user(n));
            if n % (GENERATION / 2) == 0 {
                assert!(peers.knows(user(0)));
            }
        }
        assert!(!peers.knows(user(1)));
        let all = peers.0.lock().expect("one thread");
        assert!(all.young.len() + all.old.len() <= 2 * GENERATION);
    }
}
