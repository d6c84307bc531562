//! A set of keys that is read again when a token names an unknown one, but not more often than
//! every few seconds, whatever tokens come.

use std::sync::{Arc, PoisonError, RwLock};

use natterjack_runtime::clock::Clock;

use super::keys::KeySet;

/// At most one reading in so many milliseconds.
const FLOOR_MS: u64 = 3_000;

/// The current keys of one issuer.
pub(super) struct Keys {
    current: RwLock<Arc<KeySet>>,
    /// When they were last read because of an unknown key; the lock makes it one reader at a time.
    last_read_ms: tokio::sync::Mutex<u64>,
    clock: Clock,
}

impl Keys {
    pub fn new(keys: KeySet, clock: Clock) -> Self {
        Self {
            current: RwLock::new(Arc::new(keys)),
            last_read_ms: tokio::sync::Mutex::new(0),
            clock,
        }
    }

    pub fn set(&self, keys: KeySet) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key set that holds the key, after at most one new reading by `read`, which answers
    /// `None` if it failed (and has said so).
    pub async fn with_key(
        &self,
        kid: Option<&str>,
        read: impl AsyncFnOnce() -> Option<KeySet>,
    ) -> Option<Arc<KeySet>> {
        let has = |keys: &KeySet| keys.find(kid).is_some();
        let keys = self.current();
        if has(&keys) {
            return Some(keys);
        }
        let mut last_read_ms = self.last_read_ms.lock().await;
        // Somebody else may have read it while we waited.
        let keys = self.current();
        if has(&keys) {
            return Some(keys);
        }
        let now_ms = self.clock.now_ms();
        if now_ms.abs_diff(*last_read_ms) < FLOOR_MS {
            return None;
        }
        *last_read_ms = now_ms;
        self.set(read().await?);
        let keys = self.current();
        has(&keys).then_some(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn unknown_keys_cost_one_reading_in_a_while() {
        let (clock, hand) = Clock::manual(1_000_000);
        let keys = Keys::new(KeySet::default(), clock);
        let mut readings = 0;
        for _ in 0..10 {
            let found = keys
                .with_key(Some("x"), async || {
                    readings += 1;
                    Some(KeySet::default())
                })
                .await;
            assert!(found.is_none());
        }
        assert_eq!(readings, 1);
        hand.advance(std::time::Duration::from_millis(FLOOR_MS));
        let secret = b"0123456789abcdef0123456789abcdef";
        let found = keys
            .with_key(Some("x"), async || KeySet::from_secret(secret).ok())
            .await;
        assert!(found.is_some());
    }
}
