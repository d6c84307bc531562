//! One question to everybody, and all answers that come soon.

use std::time::Duration;

use async_nats::{Client, Message, subject::ToSubject};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::timeout;

use super::servers::now_ms;

/// The first answer may take this long, on a busy machine.
const FIRST_WITHIN: Duration = Duration::from_secs(3);
/// Once nothing has come for this long, all have answered.
const QUIET: Duration = Duration::from_millis(700);
/// Nobody runs more processes than this.
const ANSWERS_MAX: usize = 10_000;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// What it says.
    pub payload: Bytes,
    /// When it was heard, in Unix milliseconds by our clock.
    pub heard_ms: i64,
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self {
            payload: message.payload,
            heard_ms: now_ms(),
        }
    }
}

/// Asks on `subject` and gathers the answers; none is no error.
///
/// # Errors
/// The connection is lost.
pub async fn ask(client: &Client, subject: impl ToSubject) -> Result<Vec<Answer>, String> {
    let inbox = client.new_inbox();
    let mut answers = client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| error.to_string())?;
    client
        .publish_with_reply(subject.to_subject(), inbox, Vec::new().into())
        .await
        .map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    let mut patience = FIRST_WITHIN;
    while all.len() < ANSWERS_MAX {
        match timeout(patience, answers.next()).await {
            // Nobody listens: the server says so at once.
            Ok(Some(answer)) if answer.status.is_some() => break,
            Ok(Some(answer)) => all.push(answer.into()),
            Ok(None) | Err(_) => break,
        }
        patience = QUIET;
    }
    Ok(all)
}
