//! A small bounded cache: answers are kept for a while, and the least recently asked ones make
//! room. Two generations instead of a linked list: what is asked for moves to the young one; when
//! that is full it becomes the old one, and what was old is forgotten.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// A bounded cache whose entries live for a limited time.
pub struct Cache<K, V> {
    generations: Mutex<Generations<K, V>>,
    generation_entries_max: usize,
    ttl_ms: u64,
}

struct Generations<K, V> {
    young: HashMap<K, (V, u64)>,
    old: HashMap<K, (V, u64)>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty cache of at most `entries_max` entries, each believed for `ttl_ms`.
    #[must_use]
    pub fn new(entries_max: usize, ttl_ms: u64) -> Self {
        Self {
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
            generation_entries_max: (entries_max / 2).max(1),
            ttl_ms,
        }
    }

    /// What is known, if it is fresh enough.
    pub fn get(&self, key: &K, now_ms: u64) -> Option<V> {
        let mut guard = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = &mut *guard;
        if let Some((key, entry)) = generations.old.remove_entry(key) {
            self.put(generations, key, entry);
        }
        let (value, until_ms) = generations.young.get(key)?;
        (now_ms < *until_ms).then(|| value.clone())
    }

    /// Keeps an answer.
    pub fn insert(&self, key: K, value: V, now_ms: u64) {
        let mut guard = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        guard.old.remove(&key);
        self.put(&mut guard, key, (value, now_ms.saturating_add(self.ttl_ms)));
    }

    fn put(&self, generations: &mut Generations<K, V>, key: K, entry: (V, u64)) {
        if generations.young.len() >= self.generation_entries_max && !generations.young.contains_key(&key) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_by_age_and_by_number_but_not_what_is_asked_for() {
        let cache = Cache::new(10, 100);
        cache.insert(0, "zero", 0);
        assert_eq!(cache.get(&0, 99), Some("zero"));
        assert_eq!(cache.get(&0, 100), None);
        cache.insert(0, "zero", 100);
        for key in 1..1_000 {
            cache.insert(key, "other", 100);
            assert_eq!(cache.get(&0, 100), Some("zero"), "asked for all the time");
        }
        assert_eq!(cache.get(&1, 100), None, "long not asked for");
        let guard = cache.generations.lock().expect("not poisoned");
        assert!(guard.young.len() + guard.old.len() <= 10);
    }
}
