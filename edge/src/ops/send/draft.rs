//! What a client wants stored, and whether that is well-formed. No I/O.

use natterjack_nats::{
    Conversation, MessageId, limits,
    wire::{Code, Content, WireError},
};

/// What a client wants stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Made by the client, and kept across retries.
    pub id: MessageId,
    /// Where to.
    pub conversation: Conversation,
    /// What.
    pub content: Content,
}

impl Draft {
    /// A text.
    #[must_use]
    pub const fn text(
        id: MessageId,
        conversation: Conversation,
        text: String,
        reply_to: Option<u64>,
    ) -> Self {
        Self {
            id,
            conversation,
            content: Content::Text { text, reply_to },
        }
    }

    /// A new text for a message.
    #[must_use]
    pub const fn edit(id: MessageId, conversation: Conversation, target: u64, text: String) -> Self {
        Self {
            id,
            conversation,
            content: Content::Edit { target, text },
        }
    }

    /// The end of a message's text.
    #[must_use]
    pub const fn delete(id: MessageId, conversation: Conversation, target: u64) -> Self {
        Self {
            id,
            conversation,
            content: Content::Delete { target },
        }
    }

    /// Whether it is well-formed.
    pub(super) fn check(&self) -> Result<(), WireError> {
        match &self.content {
            Content::Text { text, reply_to } => {
                check_text(text)?;
                reply_to.map_or(Ok(()), |seq| check_seq("reply_to", seq))
            }
            Content::Edit { target, text } => {
                check_text(text)?;
                check_seq("target", *target)
            }
            Content::Delete { target } => check_seq("target", *target),
            Content::Event(_) => Err(WireError::new(
                Code::Forbidden,
                "events are made by the server only",
            )),
        }
    }
}

fn check_text(text: &str) -> Result<(), WireError> {
    if text.is_empty() {
        return Err(WireError::new(Code::BadRequest, "the text is empty"));
    }
    // A scalar value takes at most 4 bytes and at least 1: most texts need no counting.
    let max = limits::TEXT_CHARS_MAX;
    if text.len() > max && (text.len() > 4 * max || text.chars().count() > max) {
        return Err(WireError::new(
            Code::TextTooLong,
            format!("a text has at most {max} characters; split it"),
        ));
    }
    if text.contains('\0') {
        return Err(WireError::new(
            Code::BadRequest,
            "the text holds the character U+0000, which cannot be stored; leave it out",
        ));
    }
    Ok(())
}

fn check_seq(field: &'static str, seq: u64) -> Result<(), WireError> {
    if (1..=limits::WHOLE_MAX).contains(&seq) {
        return Ok(());
    }
    Err(WireError::new(
        Code::BadRequest,
        format!("{field} is the sequence of a message: a number from 1 to 2^53 - 1"),
    ))
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;
    use proptest::prelude::*;

    use super::*;

    fn draft(content: Content) -> Draft {
        let user = UserId::from_parts(1, 1);
        Draft {
            id: MessageId::generate(1),
            conversation: Conversation::dm(user, user),
            content,
        }
    }

    fn text(text: &str) -> Result<(), Code> {
        let draft = draft(Content::Text {
            text: text.into(),
            reply_to: None,
        });
        draft.check().map_err(|error| error.code)
    }

    #[test]
    fn texts_up_to_the_limit_are_taken_whatever_their_bytes() {
        for character in ["a", "é", "蛙", "🐸"] {
            let longest = character.repeat(limits::TEXT_CHARS_MAX);
            assert_eq!(text(&longest), Ok(()));
            assert_eq!(text(&format!("{longest}{character}")), Err(Code::TextTooLong));
        }
        assert_eq!(text(""), Err(Code::BadRequest));
        assert_eq!(text("a\0b"), Err(Code::BadRequest));
    }

    proptest! {
        #[test]
        fn a_text_is_taken_if_and_only_if_it_can_be_stored(candidate in any::<String>()) {
            let storable = !candidate.is_empty() && !candidate.contains('\0');
            prop_assert_eq!(text(&candidate).is_ok(), storable);
        }

        #[test]
        fn sequences_are_in_range(seq: u64) {
            let fine = seq > 0 && seq <= limits::WHOLE_MAX;
            prop_assert_eq!(draft(Content::Delete { target: seq }).check().is_ok(), fine);
            let reply = Content::Text { text: "a".into(), reply_to: Some(seq) };
            prop_assert_eq!(draft(reply).check().is_ok(), fine);
        }
    }
}
