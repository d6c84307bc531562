//! Receipts and typing: small, frequent, and never stored one by one.

use natterjack_nats::{
    Conversation, limits, subjects,
    wire::{Code, Cursor, ServerFrame, WireError},
};

use super::Caller;
use crate::app::App;

impl App {
    /// How far the user has got in a conversation, on a device whose app is in the foreground or not. It
    /// is published with the next batch.
    ///
    /// # Errors
    /// `bad_request` without a cursor, `not_member`, `overloaded` if too many wait already.
    pub async fn receipt(
        &self,
        caller: &Caller,
        conversation: Conversation,
        delivered: Option<u64>,
        read: Option<u64>,
        foreground: bool,
    ) -> Result<(), WireError> {
        let cursor = Cursor {
            delivered: delivered.unwrap_or_default(),
            read: read.unwrap_or_default(),
        }
        .advanced_to(Cursor::default());
        if cursor == Cursor::default() || cursor.delivered > limits::WHOLE_MAX {
            return Err(WireError::new(
                Code::BadRequest,
                "a receipt names the highest sequence that was delivered or read",
            ));
        }
        // One's own log has cursors too, and nobody else hears of them.
        if conversation.admits(caller.user) != Some(true) {
            self.admit(caller.user, &conversation).await?;
        }
        self.receipts
            .record(conversation, caller.user, cursor, foreground)
    }

    /// The user is writing, or has stopped. Nobody is told if it gets lost.
    ///
    /// # Errors
    /// `not_member`, `forbidden`; `unavailable` if the server's network is disturbed.
    pub async fn typing(
        &self,
        caller: &Caller,
        conversation: Conversation,
        active: bool,
    ) -> Result<(), WireError> {
        self.admit(caller.user, &conversation).await?;
        let frame = ServerFrame::Typing {
            conversation,
            user: caller.user,
            active,
        };
        let payload = serde_json::to_vec(&frame).map_err(|error| {
            tracing::error!(%error, "a typing frame does not encode");
            WireError::new(Code::Internal, "the server made a mistake; it was logged")
        })?;
        let subject = subjects::live::subject(&conversation);
        self.nats
            .service
            .publish(subject, payload.into())
            .await
            .map_err(|_| {
                WireError::new(
                    Code::Unavailable,
                    "the server's own network is disturbed; try again soon",
                )
            })
    }
}
