//! A client all of whose doings are on record.

use std::time::Duration;

use anyhow::Context;
use natterjack_client::{Client, Draft};
use natterjack_nats::{Conversation, MessageId, UserId, wire::Content};
use natterjack_runtime::clock::Clock;
use tokio::task::JoinHandle;

use super::{Attempt, Recorder, receiver};

/// A client all of whose doings are on record. It is closed by [`Recorded::close`], or cut off
/// when it is dropped.
pub struct Recorded {
    pub(super) client: Client,
    pub(super) user: UserId,
    pub(super) device: String,
    pub(super) recorder: Recorder,
    pub(super) listener: JoinHandle<()>,
}

impl Recorded {
    /// The client itself, for what need not be on record: typing, receipts, history.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Its name in the record.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Sends a text.
    ///
    /// # Errors
    /// The outbox is full, or the client has stopped.
    pub fn send(&self, conversation: Conversation, text: impl Into<String>) -> anyhow::Result<MessageId> {
        self.send_with(Draft::text(conversation, text))
    }

    /// Sends any draft.
    ///
    /// # Errors
    /// The outbox is full, or the client has stopped.
    pub fn send_with(&self, draft: Draft) -> anyhow::Result<MessageId> {
        let id = draft
            .id
            .unwrap_or_else(|| MessageId::generate(Clock::system().now_ms()));
        let text = match &draft.content {
            Content::Text { text, .. } | Content::Edit { text, .. } => Some(text.clone()),
            Content::Delete { .. } | Content::Event(_) => None,
        };
        let attempt = Attempt {
            sender: self.user,
            conversation: draft.conversation,
            text,
        };
        {
            let mut record = self.recorder.record();
            record.journal.attempted(id, attempt);
            record.open.insert(id);
        }
        let sent = self.client.send_with(draft.with_id(id));
        if sent.is_err() {
            self.recorder.record().open.remove(&id);
        }
        Ok(sent?)
    }

    /// From now on this device has to be given all that follows `after` in a conversation.
    pub fn expects(&self, conversation: Conversation, after: u64) {
        self.recorder
            .record()
            .journal
            .listens(receiver(&self.device, conversation), after);
    }

    /// Waits until everything sent has its answer, then leaves. What follows the last message
    /// that it was given in each conversation it need not be given any more.
    ///
    /// # Errors
    /// An answer took longer than `within`.
    pub async fn close(self, within: Duration) -> anyhow::Result<()> {
        let flushed = self.client.flush(within).await;
        self.client.close().await;
        let Self {
            listener,
            recorder,
            device,
            ..
        } = self;
        listener.await.context("the listener")?;
        let mut record = recorder.record();
        record.devices.remove(&device);
        let numbered = format!("{device} #");
        for (receiver, stretch) in &mut record.journal.deliveries {
            if (receiver.device == device || receiver.device.starts_with(&numbered))
                && stretch.until.is_none()
            {
                stretch.until = Some(stretch.given.last().map_or(stretch.after, |last| last.seq));
            }
        }
        anyhow::ensure!(
            flushed,
            "{device} has messages without an answer after {within:?}"
        );
        Ok(())
    }
}
