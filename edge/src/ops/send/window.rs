//! How far the streams' own memory of message ids may be relied on. No I/O.

use std::time::Duration;

use natterjack_nats::MessageId;

/// Longest time for which a client's clock may be ahead without a look-up for each of its
/// messages.
const AHEAD_MS_MAX: u64 = 2_000;
/// Longest time for which a message is tried.
const TRIES_MAX: Duration = Duration::from_secs(20);

/// The dedupe window of the cluster's streams, divided so that whatever passes for fresh still
/// meets its first try in it: half of it for the age of an id, an eighth for clocks that are
/// ahead, a quarter for the tries themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    window: Duration,
}

impl Window {
    /// For streams that recognise a retry for so long.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        Self { window }
    }

    /// Until when a message is tried.
    pub(super) fn tries(self) -> Duration {
        (self.window / 4).min(TRIES_MAX)
    }

    /// Whether the id's own time lies so close to now that the stream's dedupe window recognises a
    /// retry. Any other id is looked up in history first.
    ///
    /// An id made by a clock that runs far ahead is looked up when it is first sent, and passes for
    /// fresh when the server's clock has caught up with it; a retry that waited until then is the
    /// one kind that only the unique key in Postgres recognises.
    pub(super) fn is_fresh(self, id: MessageId, now_ms: u64) -> bool {
        let window_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        let oldest = now_ms.saturating_sub(window_ms / 2);
        let newest = now_ms.saturating_add(AHEAD_MS_MAX.min(window_ms / 8));
        (oldest..=newest).contains(&id.unix_ms())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_ids_of_the_last_minute_are_fresh(age_ms in -200_000_i64..200_000) {
            let window = Window::new(Duration::from_secs(120));
            let now_ms = 1_800_000_000_000_u64;
            let id = MessageId::generate(now_ms.saturating_add_signed(-age_ms));
            prop_assert_eq!(window.is_fresh(id, now_ms), (-2_000..=60_000).contains(&age_ms));
        }

        #[test]
        fn a_fresh_retry_meets_its_first_try_in_the_window(
            window_ms in 100_u64..1_000_000, ahead_ms in -1_000_000_i64..1_000_000, later_ms in 0_u64..1_000_000,
        ) {
            let window = Window::new(Duration::from_millis(window_ms));
            let first_ms = 1_800_000_000_000_u64;
            let id = MessageId::generate(first_ms.saturating_add_signed(ahead_ms));
            let tries_ms = u64::try_from(window.tries().as_millis()).expect("short");
            if window.is_fresh(id, first_ms) && window.is_fresh(id, first_ms + later_ms) {
                prop_assert!(later_ms + tries_ms <= window_ms);
            }
        }
    }
}
