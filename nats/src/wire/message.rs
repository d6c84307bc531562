//! Messages: as they are stored in JetStream, and as everybody sees them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::people::Role;
use crate::{
    conversation::Conversation,
    headers::Position,
    ids::{GroupId, MessageId, UserId},
};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A text.
    Text,
    /// A new text for `target`.
    Edit,
    /// `target` loses its text and keeps its place.
    Delete,
    /// Something that happened to the conversation.
    Event,
    /// A second copy of `target` that slipped past the stream's dedupe window: nothing to show.
    /// It keeps its place so that the chain of predecessors stays whole.
    Duplicate,
}

/// What a sender wants to say; the part that idempotency compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text, perhaps in reply to an earlier message.
    Text {
        /// The text, at most [`crate::limits::TEXT_CHARS_MAX`] characters.
        text: String,
        /// Sequence of the message that this one answers.
        reply_to: Option<u64>,
    },
    /// A new text for a message of one's own.
    Edit {
        /// Sequence of the message.
        target: u64,
        /// Its new text.
        text: String,
    },
    /// The end of a message's text.
    Delete {
        /// Sequence of the message.
        target: u64,
    },
    /// A membership event; made by the server only.
    Event(Event),
}

/// Something that happened to a group, or to a user's place in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// In the group: it was made, by the sender.
    Created {
        /// Its title.
        title: String,
    },
    /// In the group: it has a new title.
    Renamed {
        /// The new title.
        title: String,
    },
    /// In the group: a user was added by the sender.
    MemberAdded {
        /// Who.
        user: UserId,
        /// In which role.
        role: Role,
    },
    /// In the group: a user was removed by the sender, or left (then the user is the sender).
    MemberRemoved {
        /// Who.
        user: UserId,
    },
    /// In the group: a member's role changed.
    RoleChanged {
        /// Whose.
        user: UserId,
        /// The new role.
        role: Role,
    },
    /// In a user's own log: the user is in the group from now on.
    Joined {
        /// Which group.
        group: GroupId,
    },
    /// In a user's own log: the user is no longer in the group.
    Left {
        /// Which group.
        group: GroupId,
    },
}

/// A message as JetStream stores it: all but its place, which the stream gives it.
///
/// Its JSON is ready-made for the wire: an edge only puts the place in front ([`splice`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it belongs.
    pub conversation: Conversation,
    /// The client's id for it.
    pub id: MessageId,
    /// Who sent it.
    pub sender: UserId,
    /// When the edge accepted it, Unix milliseconds.
    pub sent_at: u64,
    /// What it is.
    pub kind: Kind,
    /// The text of a text or an edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Sequence of the message that a text answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Sequence of the message that an edit or a deletion names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// What happened, in an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

impl Stored {
    /// A message of `sender` for `conversation`.
    #[must_use]
    pub fn new(
        conversation: Conversation,
        id: MessageId,
        sender: UserId,
        sent_at: u64,
        content: Content,
    ) -> Self {
        let mut stored = Self {
            conversation,
            id,
            sender,
            sent_at,
            kind: Kind::Event,
            text: None,
            reply_to: None,
            target: None,
            event: None,
        };
        match content {
            Content::Text { text, reply_to } => {
                (stored.kind, stored.text, stored.reply_to) = (Kind::Text, Some(text), reply_to);
            }
            Content::Edit { target, text } => {
                (stored.kind, stored.text, stored.target) = (Kind::Edit, Some(text), Some(target));
            }
            Content::Delete { target } => (stored.kind, stored.target) = (Kind::Delete, Some(target)),
            Content::Event(event) => stored.event = Some(event),
        }
        stored
    }

    /// The `Nats-Msg-Id`: sender and client id name one message.
    #[must_use]
    pub fn nats_msg_id(&self) -> String {
        format!("{}.{}", self.sender, self.id)
    }

    /// What a retry must match.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.kind, self.text.as_deref(), self.reply_to, self.target)
    }

    /// The message at its place.
    #[must_use]
    pub fn at(self, position: Position) -> Message {
        Message {
            conversation: self.conversation,
            seq: position.seq,
            prev: position.prev,
            id: self.id,
            sender: self.sender,
            sent_at: self.sent_at,
            kind: self.kind,
            text: self.text,
            reply_to: self.reply_to,
            target: self.target,
            event: self.event,
            edited: None,
            deleted: None,
        }
    }
}

/// A message as clients see it, live and in history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where it belongs.
    pub conversation: Conversation,
    /// Its place in the conversation's order.
    pub seq: u64,
    /// The place of its predecessor in the conversation. 0: none known to the stream; a client
    /// that has a cursor then asks history what lies between.
    pub prev: u64,
    /// The sender's id for it.
    pub id: MessageId,
    /// Who sent it.
    pub sender: UserId,
    /// When the edge accepted it, Unix milliseconds.
    pub sent_at: u64,
    /// What it is.
    pub kind: Kind,
    /// The text of a text or an edit; absent from a deleted message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Sequence of the message that a text answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Sequence of the message that an edit, a deletion or a duplicate names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// What happened, in an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// Sequence of the last edit that `text` includes. An edit with a lower sequence is older news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<u64>,
    /// Sequence of the deletion that took the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
}

/// The first half of the SHA-256 of what a sender said: equal for a retry, different for another
/// text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a message's content.
    #[must_use]
    pub fn of(kind: Kind, text: Option<&str>, reply_to: Option<u64>, target: Option<u64>) -> Self {
        let mut hash = Sha256::new();
        hash.update([kind as u8]);
        hash.update(reply_to.unwrap_or_default().to_be_bytes());
        hash.update(target.unwrap_or_default().to_be_bytes());
        hash.update(text.unwrap_or_default());
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }

    /// The bytes, as Postgres keeps them once the text itself is gone.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The fingerprint kept in Postgres.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// The `message` frame of a stored payload: its place is put in front of the ready-made JSON, so
/// that nothing is decoded for anybody. `None` if the payload is not a JSON object in UTF-8.
#[must_use]
pub fn splice(position: Position, payload: &[u8]) -> Option<String> {
    let object = std::str::from_utf8(payload).ok()?;
    if !(object.starts_with("{\"") && object.ends_with('}')) {
        return None;
    }
    let Position { seq, prev } = position;
    let head = format!("{{\"type\":\"message\",\"seq\":{seq},\"prev\":{prev},");
    // Exactly as long as it gets: this is done for every message, and the text is kept as it is.
    let mut frame = String::with_capacity(head.len() + object.len() - 1);
    frame.push_str(&head);
    frame.push_str(&object[1..]);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        conversation::tests::{any_conversation, any_user},
        wire::ServerFrame,
    };

    proptest! {
        #[test]
        fn a_spliced_payload_is_the_message_frame(
            conversation in any_conversation(), sender in any_user(), ms in 0_u64..(1 << 48),
            text in any::<String>(), reply_to in any::<Option<u32>>(), seq in 1_u64..(1 << 53), prev in 0_u64..(1 << 53),
        ) {
            let reply_to = reply_to.map(u64::from);
            let stored = Stored::new(conversation, MessageId::generate(ms), sender, ms, Content::Text { text, reply_to });
            let payload = serde_json::to_vec(&stored).expect("plain");
            let position = Position { seq, prev };
            let frame = splice(position, &payload).expect("an object");
            let expected = ServerFrame::Message(Box::new(stored.at(position)));
            prop_assert_eq!(serde_json::from_str::<ServerFrame>(&frame).expect("own json"), expected);
        }

        #[test]
        fn another_content_has_another_fingerprint(a in any::<String>(), b in any::<String>()) {
            let of = |text: &str| Fingerprint::of(Kind::Text, Some(text), None, None);
            prop_assert_eq!(of(&a) == of(&b), a == b);
        }
    }

    #[test]
    fn garbage_is_not_spliced() {
        let position = Position { seq: 1, prev: 0 };
        for payload in [&b""[..], b"{}", b"[1]", b"{\"a\":\xff}", b"{\"a\""] {
            assert_eq!(splice(position, payload), None);
        }
    }
}
