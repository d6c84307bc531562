//! What an application wants to send.

use natterjack_nats::{
    Conversation, MessageId,
    wire::{ClientFrame, Content},
};

/// A message before it has a place: a text, an edit or a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where to.
    pub conversation: Conversation,
    /// What.
    pub content: Content,
    /// Its id, if it has one already (kept by an application across restarts); the client makes
    /// one otherwise.
    pub id: Option<MessageId>,
}

impl Draft {
    /// A text.
    #[must_use]
    pub fn text(conversation: Conversation, text: impl Into<String>) -> Self {
        let (text, reply_to) = (text.into(), None);
        Self::of(conversation, Content::Text { text, reply_to })
    }

    /// A text that answers the message at `reply_to`.
    #[must_use]
    pub fn reply(conversation: Conversation, reply_to: u64, text: impl Into<String>) -> Self {
        let (text, reply_to) = (text.into(), Some(reply_to));
        Self::of(conversation, Content::Text { text, reply_to })
    }

    /// A new text for one's own message at `target`.
    #[must_use]
    pub fn edit(conversation: Conversation, target: u64, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::of(conversation, Content::Edit { target, text })
    }

    /// The end of the text of the message at `target`.
    #[must_use]
    pub const fn delete(conversation: Conversation, target: u64) -> Self {
        Self::of(conversation, Content::Delete { target })
    }

    const fn of(conversation: Conversation, content: Content) -> Self {
        Self {
            conversation,
            content,
            id: None,
        }
    }

    /// The same under an id of the application's choice.
    #[must_use]
    pub const fn with_id(mut self, id: MessageId) -> Self {
        self.id = Some(id);
        self
    }

    /// The text that is sent, if any.
    pub(crate) fn sent_text(&self) -> &str {
        match &self.content {
            Content::Text { text, .. } | Content::Edit { text, .. } => text,
            Content::Delete { .. } | Content::Event(_) => "",
        }
    }

    /// The frame that sends it; `None` for an event, which no client may send.
    pub(crate) fn frame(&self, id: MessageId) -> Option<ClientFrame> {
        let conversation = self.conversation;
        Some(match self.content.clone() {
            Content::Text { text, reply_to } => ClientFrame::Send {
                id,
                conversation,
                text,
                reply_to,
            },
            Content::Edit { target, text } => ClientFrame::Edit {
                id,
                conversation,
                target,
                text,
            },
            Content::Delete { target } => ClientFrame::Delete {
                id,
                conversation,
                target,
            },
            Content::Event(_) => return None,
        })
    }
}
