//! From nothing to a live connection: token, socket, `hello`, `ready`.

use std::time::Duration;

use natterjack_nats::wire::{ClientFrame, Hello, Ready};

use super::{Live, Machine, Output, State};
use crate::{
    error::StopReason,
    event::Event,
    requests::{Ask, Purpose},
    token::{AccessToken, TokenError},
};

impl Machine {
    pub(super) fn connect(&mut self) {
        self.state = State::Token;
        self.fetch_token(self.token_stale);
    }

    /// Asks the source once, however many want to know.
    pub(super) fn fetch_token(&mut self, fresh: bool) {
        if !std::mem::replace(&mut self.token_wanted, true) {
            self.out.push(Output::FetchToken { fresh });
        }
    }

    pub(super) fn token_answered(&mut self, now: Duration, answer: Result<AccessToken, TokenError>) {
        self.token_wanted = false;
        match answer {
            Ok(token) => {
                self.token_stale = false;
                self.token = Some(token);
                match &self.state {
                    State::Token if self.route.wants(now) => {
                        self.state = State::Choosing;
                        self.out.push(Output::Discover);
                    }
                    State::Token => self.dial(),
                    State::Live(_) => self.hand_in_token(now),
                    _ => {}
                }
            }
            Err(TokenError::Refused(error)) => self.stop(StopReason::Token(error)),
            Err(TokenError::Unavailable(reason)) => match &mut self.state {
                State::Token => self.back_off(now, Duration::ZERO, reason),
                State::Live(live) => live.retry_token(now),
                _ => {}
            },
        }
    }

    /// Discovery has answered.
    pub(super) fn chosen(&mut self, now: Duration, edges: Option<Vec<String>>) {
        if matches!(self.state, State::Choosing) {
            self.route.answered(now, edges, &mut self.rng);
            self.dial();
        }
    }

    fn dial(&mut self) {
        self.state = State::Connecting;
        self.complaint = None;
        let server = self.route.current().unwrap_or_default().to_owned();
        self.out.push(Output::Connect { server });
    }

    pub(super) fn opened(&mut self, now: Duration) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        let Some(token) = &self.token else {
            return self.drop_connection(now, "there is no access token");
        };
        let hello = Hello {
            token: token.token.clone(),
            device: self.settings.device.clone(),
            client: self.settings.client.clone(),
            resume: self.resumes.then(|| self.timeline.cursors()),
            active: self.active,
        };
        self.out.push(Output::Send(ClientFrame::Hello(Box::new(hello))));
        self.state = State::Opening {
            until: now + self.settings.hello_timeout,
            active: self.active,
        };
    }

    pub(super) fn ready(&mut self, now: Duration, ready: Ready) {
        let State::Opening { active: told, .. } = self.state else {
            return;
        };
        self.route.connected();
        if !std::mem::replace(&mut self.resumes, true) {
            // A new device starts at the present; so does the server, with the same heads.
            for summary in &ready.conversations {
                self.timeline.know(summary.conversation, summary.head, false);
            }
            self.ask_baseline(now, ready.next.clone());
        }
        self.state = State::Live(Box::new(Live::new(now, &ready)));
        self.emit(Event::Ready(Box::new(ready)));
        let active = self.active;
        if active != told {
            self.out.push(Output::Send(ClientFrame::Active { active }));
        }
        self.watch_again(now);
        self.pump(now);
    }

    /// The conversations beyond the first page: without a cursor of their own, the next resume
    /// would replay them from their start.
    pub(super) fn ask_baseline(&mut self, now: Duration, page: Option<String>) {
        if page.is_some() {
            let until = now + self.settings.request_timeout;
            self.requests
                .add(Purpose::Baseline, Ask::Conversations(page), until);
        }
    }

    fn hand_in_token(&mut self, now: Duration) {
        let Some(token) = self.token.clone() else {
            return;
        };
        let until = now + self.settings.request_timeout;
        self.requests.add(Purpose::Token, Ask::Token(token.token), until);
        self.pump(now);
    }
}
