//! The connection as a pure state machine: inputs and the time go in, outputs come out.
//!
//! ```text
//!             ┌────────── Backoff ◄──────────────┬──────────────┬─────────┐
//!             ▼                                  │              │         │
//! Idle ──► Token ──────────────► Connecting ──► Opening ──► Live          │
//!           │ ▲ └──► Choosing ──────▲│           │           │ │          │
//!           │ └── the edge drains ───┼───────────┼───────────┘ │          │
//!           │                        └───────────┴──── lost ───┴──────────┤
//!           └── no token at the moment ───────────────────────────────────┘
//! any ──► Stopped: closed by the application, refused for good, no token to be had
//! ```
//!
//! It owns the outbox, the timeline, the receipts and the open requests, and touches no socket and
//! no clock, so that its promises are tested without either.

use std::time::Duration;

use natterjack_nats::{
    Conversation,
    wire::{CloseCode, HelloDevice, WireError},
};
use rand::rngs::SmallRng;

use crate::{
    backoff::Backoff, error::StopReason, event::Event, outbox::Outbox, receipts::Receipts,
    requests::Requests, route::Route, timeline::Timeline, token::AccessToken,
};

mod commands;
mod io;
mod leave;
mod live;
mod open;
mod presence;
mod timers;

pub(crate) use io::{Command, Input, Output, Reply};
use live::Live;
use presence::Watching;

/// What does not change over the life of a machine.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub device: Option<HelloDevice>,
    pub client: String,
    pub confirm_delivery: bool,
    pub hello_timeout: Duration,
    pub request_timeout: Duration,
    pub stable_after: Duration,
    pub backoff: Backoff,
}

#[derive(Debug)]
enum State {
    /// Before the start.
    Idle,
    /// Waits for an access token.
    Token,
    /// Waits for what discovery knows.
    Choosing,
    /// Waits for the socket.
    Connecting,
    /// `hello` is out.
    Opening {
        until: Duration,
        /// What `hello` said of the foreground.
        active: bool,
    },
    Live(Box<Live>),
    Backoff {
        until: Duration,
    },
    Stopped,
}

pub(crate) struct Machine {
    settings: Settings,
    state: State,
    outbox: Outbox,
    timeline: Timeline,
    receipts: Receipts,
    requests: Requests,
    rng: SmallRng,
    out: Vec<Output>,
    route: Route,
    watching: Watching,
    /// Losses in a row, without a stable connection between.
    failures: u32,
    token: Option<AccessToken>,
    /// The source was asked and has not answered.
    token_wanted: bool,
    /// The token given last was refused or has expired.
    token_stale: bool,
    /// This device was here before, so that `hello` carries its cursors.
    resumes: bool,
    active: bool,
    /// The last complaint of the present connection that belongs to no request.
    complaint: Option<WireError>,
    typing: Option<(Conversation, bool, Duration)>,
}

/// The parts that a machine is made of.
pub(crate) struct Parts {
    pub outbox: Outbox,
    pub timeline: Timeline,
    pub receipts: Receipts,
    pub route: Route,
    pub rng: SmallRng,
    pub resumes: bool,
    pub active: bool,
}

impl Machine {
    pub(crate) fn new(settings: Settings, parts: Parts) -> Self {
        Self {
            settings,
            state: State::Idle,
            outbox: parts.outbox,
            timeline: parts.timeline,
            receipts: parts.receipts,
            requests: Requests::default(),
            rng: parts.rng,
            out: Vec::new(),
            route: parts.route,
            watching: Watching::default(),
            failures: 0,
            token: None,
            token_wanted: false,
            token_stale: false,
            resumes: parts.resumes,
            active: parts.active,
            complaint: None,
            typing: None,
        }
    }

    /// Takes one input; `now` counts from an arbitrary moment and never falls.
    pub(crate) fn input(&mut self, now: Duration, input: Input) -> Vec<Output> {
        if matches!(self.state, State::Stopped) {
            self.after_the_end(input);
            return std::mem::take(&mut self.out);
        }
        match input {
            Input::Start => self.connect(),
            Input::Token(answer) => self.token_answered(now, answer),
            Input::Edges(edges) => self.chosen(now, edges),
            Input::Opened => self.opened(now),
            Input::Lost { code, reason } => self.lost(now, code, reason),
            Input::Heard => self.heard(now),
            Input::Frame(frame) => {
                self.heard(now);
                self.frame(now, frame);
            }
            Input::Command(command) => self.command(now, command),
            Input::Tick => self.tick(now),
        }
        self.leave_once_answered(now);
        std::mem::take(&mut self.out)
    }

    /// Whether the end has come.
    pub(crate) const fn stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    fn emit(&mut self, event: Event) {
        self.out.push(Output::Emit(event));
    }

    /// The connection is gone, or never came to be.
    fn lost(&mut self, now: Duration, code: Option<u16>, reason: String) {
        let live_for = match &self.state {
            State::Connecting | State::Opening { .. } => None,
            State::Live(live) => Some(now.saturating_sub(live.since)),
            // Not a connection of ours any more.
            State::Idle | State::Token | State::Choosing | State::Backoff { .. } | State::Stopped => {
                return;
            }
        };
        if let Some(code) = code
            && !CloseCode::reconnects(code)
        {
            let error = self.complaint.take();
            return self.stop(StopReason::Refused { code, reason, error });
        }
        if code == Some(CloseCode::TokenExpired.code()) {
            self.token_stale = true;
        }
        self.note_stability(now);
        let shuts_down = code == Some(CloseCode::Shutdown.code());
        if self.leaves_for_another() {
            // That it would close was said before, and where to go.
            return self.leave(now);
        }
        if live_for.is_none() || shuts_down {
            self.route.next();
        } else {
            self.route.lost();
        }
        let Some(error) = self.complaint.take() else {
            return self.back_off(now, Duration::ZERO, reason);
        };
        // Of one who was let in, it was about something else.
        let asked = error.retry_after_ms.filter(|_| live_for.is_none());
        let asked = Duration::from_millis(asked.unwrap_or_default());
        self.back_off(now, asked, error.message.into_owned());
    }

    /// After a connection that lasted, the next loss is the first one again.
    fn note_stability(&mut self, now: Duration) {
        if let State::Live(live) = &self.state
            && now.saturating_sub(live.since) >= self.settings.stable_after
        {
            self.failures = 0;
        }
    }

    /// Comes back later, but not before the server asked for it.
    fn back_off(&mut self, now: Duration, asked: Duration, reason: String) {
        self.disconnected(now);
        let delay = self.settings.backoff.delay(self.failures, &mut self.rng);
        // Who was given a time of their own comes then, and no later than whoever was not.
        let retry_in = if asked.is_zero() {
            delay
        } else {
            asked + delay.min(self.settings.backoff.base)
        };
        self.failures = self.failures.saturating_add(1);
        self.state = State::Backoff {
            until: now + retry_in,
        };
        self.emit(Event::Disconnected { reason, retry_in });
    }

    /// What was said over the connection and not answered will not be.
    fn disconnected(&mut self, now: Duration) {
        self.outbox.disconnected();
        self.timeline.disconnected();
        self.receipts.disconnected(now);
        self.requests.disconnected();
        self.watching.disconnected();
        self.typing = None;
    }

    /// Gives up the connection from this side and comes back.
    fn drop_connection(&mut self, now: Duration, reason: &str) {
        self.out.push(Output::Close);
        self.lost(now, None, reason.to_owned());
    }

    fn stop(&mut self, reason: StopReason) {
        let ended = std::mem::replace(&mut self.state, State::Stopped);
        for queued in self.outbox.drain() {
            self.fail(&queued, crate::error::SendFailure::Stopped);
        }
        for purpose in self.requests.drain() {
            self.answer(purpose, Err(crate::error::RequestError::Stopped));
        }
        if matches!(ended, State::Connecting | State::Opening { .. } | State::Live(_)) {
            self.out.push(Output::Close);
        }
        self.emit(Event::Stopped(reason));
    }
}

#[cfg(test)]
mod tests;
