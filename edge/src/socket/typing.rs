//! How often a session may say that its user is typing.

use std::collections::HashMap;

use natterjack_nats::Conversation;

/// Conversations that are remembered; nobody types in more at a time.
const REMEMBERED_MAX: usize = 64;

/// Lets each state through once an interval and conversation.
#[derive(Debug)]
pub(super) struct TypingLimit {
    interval_ms: u64,
    last_ms: HashMap<(Conversation, bool), u64>,
}

impl TypingLimit {
    pub(super) fn new(interval_ms: u64) -> Self {
        Self {
            interval_ms,
            last_ms: HashMap::new(),
        }
    }

    pub(super) fn passes(&mut self, conversation: Conversation, active: bool, now_ms: u64) -> bool {
        let interval_ms = self.interval_ms;
        if self.last_ms.len() >= REMEMBERED_MAX {
            self.last_ms
                .retain(|_, last_ms| now_ms < last_ms.saturating_add(interval_ms));
            if self.last_ms.len() >= REMEMBERED_MAX {
                return false;
            }
        }
        let last_ms = self.last_ms.entry((conversation, active));
        let mut passes = false;
        let last_ms = last_ms.or_insert_with(|| {
            passes = true;
            now_ms
        });
        if now_ms >= last_ms.saturating_add(interval_ms) {
            (*last_ms, passes) = (now_ms, true);
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;

    use super::*;

    #[test]
    fn each_state_passes_once_an_interval() {
        let mut limit = TypingLimit::new(2_000);
        let conversation = |n| Conversation::User(UserId::from_parts(n, 0));
        assert!(limit.passes(conversation(0), true, 0));
        assert!(!limit.passes(conversation(0), true, 1_999));
        assert!(limit.passes(conversation(0), false, 1_999));
        assert!(limit.passes(conversation(0), true, 2_000));
        let passed = (0..1_000)
            .filter(|n| limit.passes(conversation(*n), true, 2_001))
            .count();
        assert!(passed <= REMEMBERED_MAX);
        assert!(limit.passes(conversation(5_000), true, 10_000));
    }
}
