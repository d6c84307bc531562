//! A live message as it comes from NATS: routed by its subject and headers, decoded only if it is a
//! membership event.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{
    Conversation,
    headers::{self, Position},
    subjects,
    wire::{Event, ServerFrame, Stored, splice},
};

use super::{outlet::Delivery, reader::Message};

/// A stored message, ready for every socket.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveMessage {
    /// Where it belongs.
    pub conversation: Conversation,
    /// Its place.
    pub position: Position,
    /// The `message` frame.
    pub frame: Utf8Bytes,
}

/// The notifier's question to a user's devices: no device in the foreground has confirmed what they
/// were sent of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub struct Nudge {
    /// Which.
    pub conversation: Conversation,
    /// Up to where there are messages.
    pub head: u64,
    /// The `nudge` frame, as it came.
    pub frame: Utf8Bytes,
}

/// What a live NATS message stands for.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) conversation: Conversation,
    pub(super) delivery: Delivery,
    /// The place among the changes of its group, if it is a membership event.
    change: Option<u64>,
}

/// A membership event, and its place among the changes of its group.
pub(super) struct Happened {
    pub(super) event: Event,
    pub(super) order: u64,
}

/// Reads a live NATS message; `None` for garbage, which only an operator with access to NATS could
/// have put there.
pub(super) fn read(message: &Message<'_>) -> Option<Heard> {
    let conversation = subjects::live::parse(message.subject)?;
    let marks = headers::scan(message.headers);
    let delivery = match marks.position {
        Some(position) => Delivery::Message(Arc::new(LiveMessage {
            conversation,
            position,
            frame: splice(position, message.payload)?.into(),
        })),
        None => ephemeral(&conversation, std::str::from_utf8(message.payload).ok()?),
    };
    Some(Heard {
        conversation,
        change: (marks.is_event && marks.position.is_some()).then(|| marks.change.unwrap_or_default()),
        delivery,
    })
}

/// A frame that is not stored. On a user's own subject there are few, and a nudge is one that the
/// sessions act upon before it reaches their clients.
fn ephemeral(conversation: &Conversation, text: &str) -> Delivery {
    if matches!(conversation, Conversation::User(_))
        && let Ok(ServerFrame::Nudge { conversation, head }) = serde_json::from_str(text)
    {
        return Delivery::Nudge(Arc::new(Nudge {
            conversation,
            head,
            frame: text.into(),
        }));
    }
    Delivery::Ephemeral(text.into())
}

impl Heard {
    /// The membership event in it, if it is one.
    pub(super) fn happened(&self, message: &Message<'_>) -> Option<Happened> {
        let order = self.change?;
        let stored: Stored = serde_json::from_slice(message.payload).ok()?;
        Some(Happened {
            event: stored.event?,
            order,
        })
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;

    use super::*;

    #[test]
    fn a_nudge_is_one_on_a_users_own_subject_only() {
        let user = UserId::from_parts(1, 1);
        let (log, chat) = (Conversation::User(user), Conversation::dm(user, user));
        let frame = ServerFrame::Nudge {
            conversation: chat,
            head: 7,
        };
        let text = serde_json::to_string(&frame).expect("plain");
        let Delivery::Nudge(nudge) = ephemeral(&log, &text) else {
            panic!("it is a nudge");
        };
        assert_eq!((nudge.conversation, nudge.head), (chat, 7));
        assert_eq!(nudge.frame.as_str(), text, "as it came");
        for (on, text) in [(chat, text.as_str()), (log, r#"{"type":"typing"}"#), (log, "")] {
            assert!(matches!(ephemeral(&on, text), Delivery::Ephemeral(_)));
        }
    }
}
