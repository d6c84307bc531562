//! What the streams hold beyond the watermarks: messages that Postgres does not have yet.

use std::collections::BTreeMap;

use async_nats::Client;
use futures::future::try_join_all;
use natterjack_nats::{
    Conversation, GroupId, Shard, Shards, UserId,
    direct::DirectError,
    limits::UNREAD_MAX,
    wire::{ConversationSummary, Kind, Preview},
};

use super::{lasts, rows::PREVIEW_CHARS};
use crate::recent::{Head, Hold, Missing};

/// What each conversation of a user has beyond the watermarks.
#[derive(Debug, Default)]
pub struct Heads {
    /// By conversation.
    pub heads: BTreeMap<Conversation, Unwritten>,
    /// Whether these are all.
    pub complete: bool,
}

/// Messages of one conversation beyond the watermark: at least the last one.
#[derive(Debug)]
pub struct Unwritten {
    /// Ascending, not empty.
    pub messages: Vec<Head>,
    /// Whether these are all, and not the last one alone.
    pub whole: bool,
}

impl Unwritten {
    /// The last one's sequence.
    pub fn seq(&self) -> u64 {
        self.messages.last().map_or(0, |head| head.seq)
    }

    /// When the last one was sent, Unix milliseconds; 0 if it cannot be decoded.
    pub fn sent_at(&self) -> u64 {
        let last = self.messages.last().and_then(|head| head.stored.as_ref());
        last.map_or(0, |stored| stored.sent_at)
    }
}

/// Reads what lies beyond the watermarks, which were captured before Postgres was asked.
///
/// # Errors
/// A shard does not answer.
pub async fn heads(
    client: &Client,
    shards: Shards,
    hold: &Hold,
    user: UserId,
    groups: &[GroupId],
) -> Result<Heads, DirectError> {
    let asked = shards
        .all()
        .map(|shard| of_shard(client, shards, hold, shard, user, groups));
    let mut all = Heads {
        heads: BTreeMap::new(),
        complete: true,
    };
    for shard in try_join_all(asked).await? {
        all.heads.extend(shard.heads);
        all.complete &= shard.complete;
    }
    Ok(all)
}

async fn of_shard(
    client: &Client,
    shards: Shards,
    hold: &Hold,
    shard: Shard,
    user: UserId,
    groups: &[GroupId],
) -> Result<Heads, DirectError> {
    match hold.of_user(shard, user, groups).await {
        Ok(beyond) => {
            let whole = true;
            let heads = beyond.into_iter();
            Ok(Heads {
                heads: heads
                    .map(|(conversation, messages)| (conversation, Unwritten { messages, whole }))
                    .collect(),
                complete: true,
            })
        }
        Err(Missing::Away(error)) => Err(error),
        Err(Missing::TooMuch) => {
            let after = hold.watermarks().get(shard.index()).copied().unwrap_or_default();
            let lasts = lasts::of_shard(client, shards, shard, after, user, groups).await?;
            let last = |(conversation, head)| {
                let (messages, whole) = (vec![head], false);
                (conversation, Unwritten { messages, whole })
            };
            Ok(Heads {
                heads: lasts.heads.into_iter().map(last).collect(),
                complete: lasts.complete,
            })
        }
    }
}

/// Brings a summary up to date with the next message of its conversation, as seen by `user`.
pub fn apply(summary: &mut ConversationSummary, user: UserId, head: &Head) {
    if head.seq <= summary.head {
        return;
    }
    summary.head = head.seq;
    let Some(stored) = &head.stored else {
        return;
    };
    let text = || stored.text.as_deref().map(shortened);
    match stored.kind {
        Kind::Text | Kind::Event => {
            if stored.kind == Kind::Text && stored.sender != user && head.seq > summary.cursor.read {
                summary.unread = UNREAD_MAX.min(summary.unread + 1);
            }
            summary.last_message = Some(Preview {
                seq: head.seq,
                id: stored.id,
                sender: stored.sender,
                sent_at: stored.sent_at,
                kind: stored.kind,
                text: text(),
            });
        }
        Kind::Edit | Kind::Delete => {
            let target = summary
                .last_message
                .as_mut()
                .filter(|last| Some(last.seq) == stored.target && last.kind == Kind::Text);
            // An edit by somebody else has no effect, and one of a deleted message neither. In a
            // group others may delete as well.
            let in_group = matches!(stored.conversation, Conversation::Group(_));
            if let Some(last) = target {
                match stored.kind {
                    Kind::Edit if last.sender == stored.sender && last.text.is_some() => last.text = text(),
                    Kind::Delete if in_group || last.sender == stored.sender => last.text = None,
                    _ => {}
                }
            }
        }
        Kind::Duplicate => {}
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use natterjack_nats::{
        MessageId,
        wire::{Content, Stored},
    };

    use super::*;

    #[test]
    fn a_summary_follows_its_conversation() {
        let (me, other) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        let conversation = Conversation::dm(me, other);
        let mut summary = ConversationSummary {
            conversation,
            head: 4,
            last_message: None,
            unread: 1,
            cursor: natterjack_nats::wire::Cursor::default(),
            mute: None,
            title: None,
            role: None,
            member_count: None,
            peer: None,
            peer_cursor: None,
        };
        let mut next = |seq, sender, content| {
            let stored = Stored::new(conversation, MessageId::generate(seq), sender, seq, content);
            let stored = Some(Arc::new(stored));
            apply(&mut summary, me, &Head { seq, stored });
            let text = summary.last_message.as_ref().and_then(|last| last.text.clone());
            (summary.head, summary.unread, text.unwrap_or_default())
        };
        let text = |text: &str| Content::Text {
            text: text.into(),
            reply_to: None,
        };
        let edit = |target, text: &str| Content::Edit {
            target,
            text: text.into(),
        };
        // What Postgres had already changes nothing.
        assert_eq!(next(4, other, text("old")), (4, 1, String::new()));
        assert_eq!(next(5, other, text("a")), (5, 2, "a".into()));
        assert_eq!(next(6, me, edit(5, "mine")), (6, 2, "a".into()));
        assert_eq!(next(7, other, edit(5, "b")), (7, 2, "b".into()));
        assert_eq!(
            next(8, other, Content::Delete { target: 5 }),
            (8, 2, String::new())
        );
        assert_eq!(next(9, other, edit(5, "c")), (9, 2, String::new()));
        assert_eq!(next(10, me, text(&"é".repeat(300))), (10, 2, "é".repeat(200)));
    }
}
