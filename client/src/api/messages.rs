//! Messages, receipts and sync.

use std::time::Duration;

use natterjack_nats::{
    Conversation, MessageId,
    wire::{Cursor, HistoryQuery, Page, SyncPage},
};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Api, CALL_TIMEOUT, Call};
use crate::error::ApiError;

/// A message is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The message's id.
    pub id: MessageId,
    /// Its place.
    pub seq: u64,
}

impl Api {
    /// Sends a text. After a timeout, call again with the same id.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn send_text(
        &self,
        conversation: Conversation,
        id: MessageId,
        text: &str,
        reply_to: Option<u64>,
    ) -> Result<Sent, ApiError> {
        let mut body = json!({ "id": id, "text": text });
        if let Some(reply_to) = reply_to {
            body["reply_to"] = reply_to.into();
        }
        self.call(Call::new(Method::POST, messages(conversation)).body(body))
            .await
    }

    /// A new text for one's own message at `target`.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn edit_text(
        &self,
        conversation: Conversation,
        target: u64,
        id: MessageId,
        text: &str,
    ) -> Result<Sent, ApiError> {
        let path = format!("{}/{target}", messages(conversation));
        let body = json!({ "id": id, "text": text });
        self.call(Call::new(Method::PATCH, path).body(body)).await
    }

    /// Takes the text of the message at `target`.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn delete_message(
        &self,
        conversation: Conversation,
        target: u64,
        id: MessageId,
    ) -> Result<Sent, ApiError> {
        let path = format!("{}/{target}", messages(conversation));
        self.call(Call::new(Method::DELETE, path).query("id", Some(id)))
            .await
    }

    /// A page of history.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn history(&self, query: &HistoryQuery) -> Result<Page, ApiError> {
        let call = Call::get(messages(query.conversation))
            .query("before", query.before)
            .query("after", query.after)
            .query("around", query.around)
            .query("at", query.at);
        self.call(call.query("limit", query.limit)).await
    }

    /// How far one has got.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn receipt(&self, conversation: Conversation, cursor: Cursor) -> Result<(), ApiError> {
        let path = format!("/v1/conversations/{conversation}/receipts");
        let mut body = serde_json::Map::new();
        for (name, seq) in [("delivered", cursor.delivered), ("read", cursor.read)] {
            if seq > 0 {
                body.insert(name.to_owned(), seq.into());
            }
        }
        self.done(Call::new(Method::POST, path).body(body)).await
    }

    /// What happened since `cursor`, waiting up to `wait` for something to happen; without a
    /// cursor: where things stand now.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn sync(&self, cursor: Option<&str>, wait: Duration) -> Result<SyncPage, ApiError> {
        let mut call = Call::get("/v1/sync").query("cursor", cursor);
        if !wait.is_zero() {
            call = call.query("wait", Some(wait.as_secs()));
        }
        call.timeout = CALL_TIMEOUT + wait;
        self.call(call).await
    }
}

fn messages(conversation: Conversation) -> String {
    format!("/v1/conversations/{conversation}/messages")
}
