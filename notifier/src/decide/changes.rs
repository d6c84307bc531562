//! What was said of a text after it: deleted or edited before it is due, so that nobody is shown what its
//! sender took back.

use std::{collections::HashMap, time::Duration};

use async_nats::Client;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    Conversation, Shards,
    direct::{self, Bounds, DirectError, lasts},
    subjects::chat,
    topology::chat_stream,
    wire::{Kind, Stored},
};

/// How far it is looked ahead in one conversation: what comes later than that is late for the push as well.
const BOUNDS: Bounds = Bounds {
    messages: 100,
    bytes: 256 * 1024,
    timeout: Duration::from_secs(3),
};
/// Conversations that are looked at at once.
const AT_ONCE: usize = 8;

/// What became of texts, by conversation and sequence.
#[derive(Debug, Default)]
pub struct Changes(HashMap<(Conversation, u64), Changed>);

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Changed {
    Edited(String),
    Deleted,
}

impl Changes {
    /// Looks behind these messages, each the first of its conversation that matters, all of one shard.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn read(
        client: &Client,
        shards: Shards,
        firsts: &HashMap<Conversation, u64>,
    ) -> Result<Self, DirectError> {
        let Some(conversation) = firsts.keys().next() else {
            return Ok(Self::default());
        };
        let stream = chat_stream(shards.of(conversation));
        let subjects: Vec<String> = firsts
            .keys()
            .map(|conversation| chat::subject(shards, conversation))
            .collect();
        // Most often nothing came after it.
        let behind = lasts(client, &stream, &subjects)
            .await?
            .into_iter()
            .filter_map(|last| {
                let conversation = chat::parse(shards, &last.subject)?;
                let first = *firsts.get(&conversation)?;
                (last.seq > first).then_some((conversation, first, last))
            });
        let stream = &stream;
        let reads = stream::iter(behind).map(|(conversation, first, last)| async move {
            let messages = if last.seq == first + 1 {
                vec![last]
            } else {
                let subject = chat::subject(shards, &conversation);
                direct::next_by_subject(client, stream, &subject, first + 1, BOUNDS)
                    .await?
                    .messages
            };
            Ok::<_, DirectError>((conversation, messages))
        });
        let read: Vec<_> = reads.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut changes = Self::default();
        for (conversation, messages) in read {
            for message in messages {
                if let Ok(stored) = serde_json::from_slice(&message.payload) {
                    changes.note(conversation, stored);
                }
            }
        }
        Ok(changes)
    }

    /// In the order of the conversation.
    fn note(&mut self, conversation: Conversation, stored: Stored) {
        let Some(target) = stored.target else { return };
        let changed = match (stored.kind, stored.text) {
            (Kind::Delete, _) => Changed::Deleted,
            (Kind::Edit, Some(text)) => Changed::Edited(text),
            _ => return,
        };
        let entry = self.0.entry((conversation, target));
        entry
            .and_modify(|before| {
                if *before != Changed::Deleted {
                    *before = changed.clone();
                }
            })
            .or_insert(changed);
    }

    /// Whether a message was deleted.
    pub fn deleted(&self, conversation: Conversation, seq: u64) -> bool {
        self.0.get(&(conversation, seq)) == Some(&Changed::Deleted)
    }

    /// What a message says now, if it was edited.
    pub fn edited(&self, conversation: Conversation, seq: u64) -> Option<&str> {
        match self.0.get(&(conversation, seq))? {
            Changed::Edited(text) => Some(text),
            Changed::Deleted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{MessageId, UserId, wire::Content};

    use super::*;

    #[test]
    fn the_last_word_counts_and_a_deletion_is_one() {
        let user = UserId::from_parts(1, 1);
        let conversation = Conversation::dm(user, user);
        let mut changes = Changes::default();
        let mut note = |content| {
            let stored = Stored::new(conversation, MessageId::generate(1), user, 1, content);
            changes.note(conversation, stored);
        };
        let edit = |target, text: &str| Content::Edit {
            target,
            text: text.to_owned(),
        };
        note(edit(5, "first"));
        note(edit(5, "second"));
        note(Content::Delete { target: 6 });
        note(edit(6, "too late"));
        note(edit(7, "gone"));
        note(Content::Delete { target: 7 });
        assert_eq!(changes.edited(conversation, 5), Some("second"));
        for deleted in [6, 7] {
            assert!(changes.deleted(conversation, deleted));
            assert_eq!(changes.edited(conversation, deleted), None);
        }
        assert!(!changes.deleted(conversation, 5) && !changes.deleted(conversation, 8));
    }
}
