//! The way of a client's request: hear, then ask, then answer.

use std::{sync::atomic::Ordering, time::Duration};

use natterjack_nats::{
    UserId,
    limits::WATCH_USERS_MAX,
    services::{call, conversations::Related},
    wire::{Code, WireError},
};
use tokio::time::{Instant, sleep_until};

use super::{Key, Watches, related::Question};
use crate::{
    app::{App, SERVICE_TIMEOUT},
    live::Attached,
};

/// How long the subscription of a bucket may take to be heard before that counts as an outage.
const READY: Duration = Duration::from_secs(5);
/// When users who are new on this edge are asked for once more: by then every server of a cluster has
/// heard of the subscription, and every replica of what was stored before.
pub(super) const AGAIN_MS: u64 = 1_500;
/// How long it may take to say who is related: the answer waits for it, but can do without.
const RELATED_TIMEOUT: Duration = Duration::from_secs(2);
/// A session's lists follow each other no faster; of those that come meanwhile the last one counts.
const INTERVAL: Duration = Duration::from_millis(250);

/// A list that is being put together; it is gone if it is dropped before it is answered.
struct Preparing<'a> {
    watches: &'a Watches,
    key: Option<Key>,
}

impl Drop for Preparing<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.watches.leave(key);
        }
    }
}

/// Refuses more users than may be asked for.
///
/// # Errors
/// `bad_request`.
pub(crate) fn count_users(count: usize) -> Result<(), WireError> {
    if count <= WATCH_USERS_MAX {
        return Ok(());
    }
    let message = format!("{count} people are too many: name at most {WATCH_USERS_MAX} at a time");
    Err(WireError::new(Code::BadRequest, message))
}

impl App {
    /// These are the people whom a session shows, and no others. The answer comes through the session's
    /// queue, in its place among the changes; this returns a little later, so that a session that asks
    /// all the time is not answered all the time.
    ///
    /// # Errors
    /// `unavailable` if presence cannot be asked, `rate_limited`; what was watched before is then watched
    /// still.
    pub async fn watch(&self, attached: &Attached, id: &str, users: Vec<UserId>) -> Result<(), WireError> {
        let begin = Instant::now();
        let outcome = self.watch_now(attached, id, users).await;
        sleep_until(begin + INTERVAL).await;
        outcome
    }

    async fn watch_now(&self, attached: &Attached, id: &str, users: Vec<UserId>) -> Result<(), WireError> {
        self.limits.presence(attached.user())?;
        let watches = self.hub.watches();
        let (viewer, outlet) = (attached.user(), attached.outlet().clone());
        let prepared = watches.state().prepare(viewer, outlet, users);
        let prepared = prepared.ok_or_else(|| {
            WireError::new(
                Code::Overloaded,
                "too many people are watched here; try again later",
            )
        })?;
        let key = prepared.key;
        let mut preparing = Preparing {
            watches,
            key: Some(key),
        };
        if !self.hub.hears(prepared.ticket, READY).await {
            return Err(WireError::new(
                Code::Unavailable,
                "the server's own network is disturbed; try again soon",
            )
            .retry_after_ms(1_000));
        }
        // One more than fits, if the viewer is not among them.
        for some in prepared.unknown.chunks(WATCH_USERS_MAX) {
            self.learn(some.to_vec(), prepared.epoch).await?;
        }
        let question = watches.state().question(key, self.clock.now_ms());
        if let Some(question) = question {
            self.relate(question).await;
        }
        preparing.key = None;
        let mut state = watches.state();
        let old = Key::from_raw(attached.watch_key().swap(key.raw(), Ordering::Relaxed));
        state.answer(key, old, id);
        state.recheck(prepared.unknown, self.clock.now_ms() + AGAIN_MS);
        watches.finish(state);
        watches.0.users_due.notify_one();
        Ok(())
    }

    /// Asks for users who are watched, and takes in the answers.
    pub(super) async fn learn(&self, users: Vec<UserId>, epoch: u32) -> Result<(), WireError> {
        if users.is_empty() {
            return Ok(());
        }
        let known = self.known(users, SERVICE_TIMEOUT).await?;
        let watches = self.hub.watches();
        let mut state = watches.state();
        state.learn_all(known, epoch);
        watches.finish(state);
        Ok(())
    }

    /// Asks who is related, and takes in the answer or that there is none.
    pub(super) async fn relate(&self, question: Question) {
        let request = Related {
            user: question.viewer,
            others: question.users.clone(),
        };
        let answer = call(&self.nats.service, &request, RELATED_TIMEOUT).await;
        if let Err(error) = &answer {
            tracing::debug!(user = %question.viewer, %error, "who shares conversations could not be asked yet");
        }
        let watches = self.hub.watches();
        let mut state = watches.state();
        state.relate(&question, answer.ok(), self.clock.now_ms());
        watches.finish(state);
    }
}
