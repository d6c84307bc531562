//! What happens because time passes.

use std::time::Duration;

use super::{Machine, State, io::earlier};
use crate::{error::RequestError, requests::Purpose};

impl Machine {
    /// When [`super::Input::Tick`] is due; `None` while there is nothing to wait for.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let requests = self.requests.deadline();
        match &self.state {
            State::Idle | State::Stopped => None,
            State::Token | State::Choosing | State::Connecting => requests,
            State::Backoff { until } | State::Opening { until, .. } => earlier(Some(*until), requests),
            State::Live(live) => {
                let silence = Some(live.heard + live.silence_max);
                let token = live.token_due.filter(|_| !self.token_wanted);
                let repairs = self.timeline.deadline().filter(|_| self.may_repair());
                // With sends open, it is their answers that are waited for.
                let leaves = live.leaves_at.filter(|_| self.outbox.in_flight() == 0);
                let work = [
                    silence,
                    token,
                    repairs,
                    leaves,
                    self.watching.deadline(),
                    self.outbox.deadline(),
                    self.receipts.deadline(),
                ];
                work.into_iter().fold(requests, earlier)
            }
        }
    }

    pub(super) fn tick(&mut self, now: Duration) {
        for purpose in self.requests.expired(now) {
            self.unanswered(now, purpose);
        }
        match &self.state {
            State::Backoff { until } if *until <= now => self.connect(),
            State::Opening { until, .. } if *until <= now => {
                self.drop_connection(now, "the server did not answer hello in time");
            }
            State::Live(live) if live.heard + live.silence_max <= now => {
                self.drop_connection(now, "nothing was heard from the server for too long");
            }
            State::Live(live) => {
                let token_due = live.token_due.is_some_and(|due| due <= now);
                if token_due && !self.token_wanted {
                    self.fetch_token(true);
                }
                if let State::Live(live) = &mut self.state
                    && token_due
                {
                    // Set again once the new token is in force; until then, retried.
                    live.retry_token(now);
                }
                self.outbox.expire(now);
                self.watch_if_due(now);
                self.pump(now);
            }
            _ => {}
        }
    }

    fn unanswered(&mut self, now: Duration, purpose: Purpose) {
        match purpose {
            Purpose::Application(_) => self.answer(purpose, Err(RequestError::Timeout)),
            Purpose::Repair(conversation) => {
                let shown = self.timeline.refused(conversation, None, now, &mut self.rng);
                self.show(now, conversation, shown);
            }
            // The token is retried by its own timer, and a baseline that is missing only makes the
            // next resume longer.
            Purpose::Token | Purpose::Baseline => {}
            Purpose::Watch => self.watch_refused(now, None),
        }
    }
}
