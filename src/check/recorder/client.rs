//! A client all of whose doings are on record.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use natterjack_client::{Client, Draft, RequestError};
use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Content, Cursor, HistoryQuery, Kind, Page},
};
use natterjack_runtime::clock::Clock;
use tokio::{sync::watch, task::JoinHandle};

use super::{Attempt, Recorder};

/// A client all of whose doings are on record. It is closed by [`Recorded::close`], or cut off
/// when it is dropped.
pub struct Recorded {
    pub(super) client: Client,
    pub(super) user: UserId,
    pub(super) device: String,
    pub(super) recorder: Recorder,
    /// Its name, if it sends one message of a conversation at a time.
    pub(super) in_order: Option<Arc<str>>,
    /// Whether its events are left where they are.
    pub(super) held: watch::Sender<bool>,
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
        let (kind, text, target) = match &draft.content {
            Content::Text { text, .. } => (Kind::Text, Some(text.clone()), None),
            Content::Edit { text, target } => (Kind::Edit, Some(text.clone()), Some(*target)),
            Content::Delete { target } => (Kind::Delete, None, Some(*target)),
            Content::Event(_) => anyhow::bail!("a client cannot send an event"),
        };
        let attempt = Attempt {
            sender: self.user,
            in_order_on: self.in_order.clone(),
            conversation: draft.conversation,
            kind,
            text,
            target,
            at: self.recorder.now(),
        };
        {
            let mut record = self.recorder.record();
            record.journal.attempted(id, attempt);
            record.open.insert(id);
            record.failed.remove(&id);
        }
        let sent = self.client.send_with(draft.with_id(id));
        if sent.is_err() {
            self.recorder.record().open.remove(&id);
        }
        Ok(sent?)
    }

    /// From now on this device has to be given all that follows `after` in a conversation.
    pub fn expects(&self, conversation: Conversation, after: u64) {
        let mut record = self.recorder.record();
        let receiver = record.stretch(&self.device, conversation);
        record.journal.listens(receiver, after);
    }

    /// The user has read up to `seq`, as far as this device knows.
    ///
    /// # Errors
    /// Too much waits already, or the client has stopped.
    pub fn read(&self, conversation: Conversation, seq: u64) -> anyhow::Result<()> {
        let cursor = Cursor {
            delivered: seq,
            read: seq,
        };
        self.recorder
            .record()
            .journal
            .says(self.user, conversation, cursor);
        Ok(self.client.read(conversation, seq)?)
    }

    /// Shows from now on whether these users are there.
    ///
    /// # Errors
    /// They are too many, too much waits already, or the client has stopped.
    pub fn watch(&self, users: &[UserId]) -> anyhow::Result<()> {
        let mut record = self.recorder.record();
        record.journal.watches(&self.device, users.iter().copied());
        Ok(self.client.watch(users.iter().copied())?)
    }

    /// Reads a page of history, on record.
    ///
    /// # Errors
    /// What [`Client::history`] says.
    pub async fn page(&self, query: HistoryQuery) -> Result<Page, RequestError> {
        let after = query.after;
        let page = self.client.history(query).await?;
        let mut record = self.recorder.record();
        let at = record.began.elapsed();
        record.journal.paged(&self.device, &page, after, at);
        Ok(page)
    }

    /// Leaves its events where they are from now on, or takes them again: an application that is
    /// too slow. The client then stops to read its socket.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Cuts it off where it is, as when the application crashes. What had no answer yet has failed
    /// as [`natterjack_client::SendFailure::Stopped`] and may be stored.
    ///
    /// # Errors
    /// Its listener panicked.
    pub async fn abandon(self) -> anyhow::Result<()> {
        self.hold(false);
        self.client.close().await;
        self.listener.await.context("the listener")?;
        self.recorder.record().end(&self.device);
        Ok(())
    }

    /// Waits until everything sent has its answer, then leaves. What follows the last message
    /// that it was given in each conversation it need not be given any more.
    ///
    /// # Errors
    /// An answer took longer than `within`.
    pub async fn close(self, within: Duration) -> anyhow::Result<()> {
        self.hold(false);
        let flushed = self.client.flush(within).await;
        self.client.close().await;
        let Self {
            listener,
            recorder,
            device,
            ..
        } = self;
        listener.await.context("the listener")?;
        recorder.record().end(&device);
        anyhow::ensure!(
            flushed,
            "{device} has messages without an answer after {within:?}"
        );
        Ok(())
    }
}
