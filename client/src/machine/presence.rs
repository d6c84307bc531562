//! Watching people: who they are is kept and said again on every connection.

use std::time::Duration;

use natterjack_nats::{
    UserId,
    wire::{UserPresence, WireError},
};

use super::{Machine, State};
use crate::{
    event::Event,
    requests::{Ask, Purpose},
};

/// How long to wait before the server is asked again, if it does not say itself.
const AGAIN: Duration = Duration::from_secs(5);

/// Whom the application shows.
#[derive(Debug, Default)]
pub(super) struct Watching {
    users: Vec<UserId>,
    /// The server could not tell; when to ask again.
    again_at: Option<Duration>,
}

impl Watching {
    pub(super) const fn disconnected(&mut self) {
        self.again_at = None;
    }

    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.again_at
    }
}

impl Machine {
    /// All the people whose presence is wanted from now on.
    pub(super) fn watch(&mut self, now: Duration, users: Vec<UserId>) {
        if self.watching.users != users {
            self.watching.users = users;
            self.ask_presence(now);
        }
    }

    /// On a new connection.
    pub(super) fn watch_again(&mut self, now: Duration) {
        if !self.watching.users.is_empty() {
            self.ask_presence(now);
        }
    }

    /// If the time has come to ask again.
    pub(super) fn watch_if_due(&mut self, now: Duration) {
        if self.watching.again_at.is_some_and(|at| at <= now) {
            self.ask_presence(now);
        }
    }

    fn ask_presence(&mut self, now: Duration) {
        self.watching.again_at = None;
        if matches!(self.state, State::Live(_)) {
            let until = now + self.settings.request_timeout;
            let ask = Ask::Watch(self.watching.users.clone());
            // What waits and has not left is out of date.
            self.requests.forget(Purpose::Watch);
            self.requests.add(Purpose::Watch, ask, until);
            self.pump(now);
        }
    }

    pub(super) fn presence(&mut self, now: Duration, id: Option<&str>, users: Vec<UserPresence>) {
        if let Some(id) = id {
            self.requests.answered(id, |ask| matches!(ask, Ask::Watch(_)));
            self.pump(now);
        }
        if !users.is_empty() {
            self.emit(Event::Presence { users });
        }
    }

    /// The server cannot tell for now, or will not.
    pub(super) fn watch_refused(&mut self, now: Duration, error: Option<WireError>) {
        match error {
            Some(error) if !error.retryable => self.emit(Event::Error(error)),
            error => {
                let asked = error.and_then(|error| error.retry_after_ms).unwrap_or_default();
                let pause = AGAIN.max(Duration::from_millis(asked));
                self.watching.again_at = Some(now.saturating_add(pause));
            }
        }
    }
}
