//! The users of a benchmark.

use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_client::{Account, Api, ApiError, Credentials};
use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Code, Content, HelloDevice, Stored},
};
use natterjack_runtime::clock::Clock;
use tokio::time::sleep;

/// Sign-ups that are under way at a time.
const SIGN_UPS: usize = 16;
/// How often one is tried that the server asks to try again: a machine that others keep busy
/// answers late, and how users come to exist is not what is measured.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// Makes `count` accounts, spread over the edges in turn.
///
/// # Errors
/// An edge refuses; its rate limits may be on.
pub async fn sign_up(edge_urls: &[String], prefix: &str, count: usize) -> anyhow::Result<Vec<Account>> {
    let apis: Vec<Api> = edge_urls
        .iter()
        .map(|url| Api::new(url))
        .collect::<Result<_, _>>()?;
    // A data directory may have the users of an earlier run.
    let run = Clock::system().now_ms();
    let one = |index: usize| {
        let api = apis[index % apis.len()].clone();
        let device = HelloDevice {
            id: None,
            name: "bench".into(),
            platform: "bench".into(),
        };
        async move {
            let mut tries = 0;
            loop {
                // The one before may have come to exist, so each try is for another handle.
                let credentials = Credentials {
                    handle: format!("{prefix}{run}-{index}-{tries}"),
                    password: format!("bench-{run}-{index}"),
                    device: device.clone(),
                };
                tries += 1;
                match Account::sign_up(&api, credentials).await {
                    Err(error) if tries < TRIES && may_go_later(&error) => sleep(PAUSE).await,
                    result => return result,
                }
            }
        }
    };
    let all = stream::iter(0..count).map(one).buffered(SIGN_UPS);
    all.try_collect()
        .await
        .context("users could not be signed up; do the edges have --no-rate-limits?")
}

/// Whether the server says that it may go another time. Rate limits are to be switched off instead.
fn may_go_later(error: &ApiError) -> bool {
    error
        .wire()
        .is_some_and(|error| error.code.retryable() && error.code != Code::RateLimited)
}

/// A text of so many bytes.
#[must_use]
pub fn text(bytes: usize) -> String {
    "The quick brown fox jumps over the lazy dog. "
        .chars()
        .cycle()
        .take(bytes)
        .collect()
}

/// The bytes that an edge stores for a text, and their `Nats-Msg-Id`.
///
/// # Errors
/// Never: it encodes.
pub fn stored(
    conversation: Conversation,
    sender: UserId,
    text: &str,
    clock: &Clock,
) -> anyhow::Result<(String, Vec<u8>)> {
    let now_ms = clock.now_ms();
    let content = Content::Text {
        text: text.to_owned(),
        reply_to: None,
    };
    let stored = Stored::new(conversation, MessageId::generate(now_ms), sender, now_ms, content);
    Ok((stored.nats_msg_id(), serde_json::to_vec(&stored)?))
}
