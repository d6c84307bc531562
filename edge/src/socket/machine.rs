//! One session as a pure state machine: frames and events in, frames and effects out. No I/O and
//! no clock of its own.

mod answers;
mod effect;
#[cfg(test)]
#[path = "../../fuzz/session.rs"]
mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use effect::{Config, Draining, Effect, Now};
use natterjack_nats::{
    Conversation, limits,
    wire::{ClientFrame, CloseCode, Code, Hello, ServerFrame, WireError},
};

use super::{
    decode::{self, Refused},
    tail::{Out, Tail},
    typing::TypingLimit,
    watching::Watching,
};
use crate::{auth::Identity, ops::send::Draft, presence::watch::count_users};

/// Frames in a row that make no sense before the session is closed.
const BAD_FRAMES_MAX: u32 = 10;
/// Requests for pages, and small signals, of one session that are under way at a time.
const PAGES_MAX: usize = 4;
const SIGNALS_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Hello,
    Opening,
    Live,
    Draining,
    Closed,
}

/// One session.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    phase: Phase,
    identity: Option<Identity>,
    resume: Option<BTreeMap<Conversation, u64>>,
    /// Whether the app is in the foreground.
    active: bool,
    tail: Tail,
    /// Kept between deliveries, so that none of them allocates.
    outs: Vec<Out>,
    typing: TypingLimit,
    bad_frames: u32,
    sends: usize,
    pages: usize,
    signals: usize,
    watching: Watching,
    heard_ms: u64,
    ping_due_ms: u64,
    /// When it goes because the edge drains; never, as long as that does not.
    goes_ms: u64,
}

impl Machine {
    /// A session that has not said hello. `first_ping_ms` spreads the pings of many sessions.
    #[must_use]
    pub fn new(config: Config, first_ping_ms: u64) -> Self {
        Self {
            phase: Phase::Hello,
            identity: None,
            resume: None,
            active: true,
            tail: Tail::new(config.shards),
            outs: vec![],
            typing: TypingLimit::new(config.typing_interval_ms),
            bad_frames: 0,
            sends: 0,
            pages: 0,
            signals: 0,
            watching: Watching::default(),
            heard_ms: 0,
            ping_due_ms: first_ping_ms,
            goes_ms: u64::MAX,
            config,
        }
    }

    /// Whether the next frame of the client may be read: not while the session opens, and not
    /// while as much is under way as a session may have.
    #[must_use]
    pub const fn reads(&self) -> bool {
        matches!(self.phase, Phase::Hello | Phase::Live)
            && self.sends < self.config.sends_in_flight
            && self.pages < PAGES_MAX
            && self.signals < SIGNALS_MAX
    }

    /// Something came from the client, whatever it was.
    pub const fn heard(&mut self, now: Now) {
        self.heard_ms = now.session_ms;
    }

    /// A text frame came.
    pub fn text(&mut self, text: &str, now: Now, out: &mut Vec<Effect>) -> &'static str {
        if text.len() > limits::FRAME_BYTES_MAX {
            let message = format!("a frame has at most {} bytes", limits::FRAME_BYTES_MAX);
            self.refuse_and_close(WireError::new(Code::TooLarge, message), out);
            return "too_large";
        }
        match decode::decode(text) {
            Ok(frame) => {
                self.bad_frames = 0;
                let name = decode::name(&frame);
                self.frame(frame, now, out);
                name
            }
            Err(refused) => {
                let name = refused.error.code.as_str();
                self.refused(refused, out);
                name
            }
        }
    }

    /// A binary frame came: there are none.
    pub fn binary(&mut self, out: &mut Vec<Effect>) {
        self.refuse_and_close(WireError::new(Code::BadRequest, "frames are text"), out);
    }

    /// Something came that is not even a frame, or one that is far too large.
    pub fn broken(&mut self, out: &mut Vec<Effect>) {
        let message = format!(
            "what came is not a WebSocket text frame in UTF-8 of at most {} bytes",
            limits::FRAME_BYTES_MAX
        );
        self.refuse_and_close(WireError::new(Code::BadRequest, message), out);
    }

    fn refused(&mut self, refused: Refused, out: &mut Vec<Effect>) {
        if self.phase == Phase::Hello {
            return self.refuse_and_close(refused.error, out);
        }
        if refused.error.code != Code::UnknownType {
            self.bad_frames += 1;
        }
        out.push(failed(refused.id, refused.error));
        if self.bad_frames >= BAD_FRAMES_MAX {
            self.close(CloseCode::BadRequest, out);
        }
    }

    fn frame(&mut self, frame: ClientFrame, now: Now, out: &mut Vec<Effect>) {
        match (self.phase, frame) {
            (Phase::Hello, ClientFrame::Hello(hello)) => {
                let Hello {
                    token,
                    device,
                    resume,
                    active,
                    ..
                } = *hello;
                self.phase = Phase::Opening;
                (self.resume, self.active) = (resume, active);
                out.push(Effect::Authenticate { token, device });
            }
            (Phase::Hello, _) => {
                self.refuse_and_close(
                    WireError::new(Code::BadRequest, "the first frame is `hello`"),
                    out,
                );
            }
            (Phase::Live, frame) => self.request(frame, now, out),
            // The actor does not read in these.
            (Phase::Opening | Phase::Draining | Phase::Closed, _) => {}
        }
    }

    fn request(&mut self, frame: ClientFrame, now: Now, out: &mut Vec<Effect>) {
        match frame {
            ClientFrame::Hello(_) => {
                out.push(failed(
                    None,
                    WireError::new(Code::BadRequest, "`hello` was said before"),
                ));
            }
            ClientFrame::Send {
                id,
                conversation,
                text,
                reply_to,
            } => self.store(Draft::text(id, conversation, text, reply_to), out),
            ClientFrame::Edit {
                id,
                conversation,
                target,
                text,
            } => self.store(Draft::edit(id, conversation, target, text), out),
            ClientFrame::Delete {
                id,
                conversation,
                target,
            } => self.store(Draft::delete(id, conversation, target), out),
            ClientFrame::Receipt {
                conversation,
                delivered,
                read,
            } => {
                self.signals += 1;
                out.push(Effect::Receipt {
                    conversation,
                    delivered,
                    read,
                    foreground: self.active,
                });
            }
            ClientFrame::Typing { conversation, active } => {
                if self.typing.passes(conversation, active, now.session_ms) {
                    self.signals += 1;
                    out.push(Effect::Typing { conversation, active });
                }
            }
            ClientFrame::History { id, query } => {
                self.pages += 1;
                out.push(Effect::Page { id, query });
            }
            ClientFrame::Conversations { id, page } => {
                self.pages += 1;
                out.push(Effect::List { id, page });
            }
            ClientFrame::Token { id, token } => {
                self.pages += 1;
                out.push(Effect::Renew { id, token });
            }
            ClientFrame::Watch { id, users } => match count_users(users.len()) {
                Ok(()) => self.watching.wanted(id, users, out),
                Err(error) => out.push(failed(Some(id), error)),
            },
            ClientFrame::Active { active } => {
                if self.active != active {
                    self.active = active;
                    out.push(Effect::Active(active));
                }
            }
            ClientFrame::Ping { id } => out.push(Effect::Write(ServerFrame::Pong { id })),
        }
    }

    fn store(&mut self, draft: Draft, out: &mut Vec<Effect>) {
        self.sends += 1;
        out.push(Effect::Store(draft));
    }

    /// What is due by now.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let interval_ms = self.config.ping_interval_ms;
        if !self.reads() {
            // What the client says is not read for now, so that its silence means nothing.
            self.heard_ms = now.session_ms;
        }
        if self.phase == Phase::Hello && now.session_ms >= self.config.hello_timeout_ms {
            return self.refuse_and_close(WireError::new(Code::BadRequest, "no `hello` came in time"), out);
        }
        if self
            .identity
            .is_some_and(|identity| now.unix_ms >= identity.expires_at_ms)
        {
            return self.close(CloseCode::TokenExpired, out);
        }
        if now.session_ms >= self.silent_at() {
            return self.close(CloseCode::NoPong, out);
        }
        if now.session_ms >= self.goes_ms {
            self.goes_ms = u64::MAX;
            return self.go(out);
        }
        if now.session_ms >= self.ping_due_ms {
            self.ping_due_ms = now.session_ms + interval_ms;
            out.push(Effect::Ping);
        }
    }

    /// After how many milliseconds [`Self::tick`] has something to do.
    #[must_use]
    pub fn due_in_ms(&self, now: Now) -> u64 {
        let mut due_ms = self.ping_due_ms.min(self.silent_at()).min(self.goes_ms);
        if self.phase == Phase::Hello {
            due_ms = due_ms.min(self.config.hello_timeout_ms);
        }
        let due_in_ms = due_ms.saturating_sub(now.session_ms);
        self.identity.map_or(due_in_ms, |identity| {
            due_in_ms.min(identity.expires_at_ms.saturating_sub(now.unix_ms))
        })
    }

    /// When silence has lasted for one and a half intervals: a little less, so that the close goes
    /// out within them.
    const fn silent_at(&self) -> u64 {
        self.heard_ms + self.config.ping_interval_ms * 29 / 20
    }

    /// The edge drains. The client is told, and may go where it likes; the session goes on for a while
    /// of its own, so that not all who are here knock at the same moment elsewhere. Whoever is not in
    /// yet goes at once.
    pub fn drain(&mut self, drain: Draining, now: Now, out: &mut Vec<Effect>) {
        if self.phase == Phase::Closed {
            return;
        }
        let Draining {
            edges,
            within_ms,
            after_ms,
        } = drain;
        out.push(Effect::Write(ServerFrame::Draining { edges, within_ms }));
        if matches!(self.phase, Phase::Hello | Phase::Opening) {
            return self.close(CloseCode::Shutdown, out);
        }
        self.goes_ms = now.session_ms.saturating_add(after_ms);
    }

    /// Nothing new is read, and the session closes after its last ack.
    fn go(&mut self, out: &mut Vec<Effect>) {
        if self.sends == 0 {
            self.close(CloseCode::Shutdown, out);
        } else if self.phase == Phase::Live {
            self.phase = Phase::Draining;
        }
    }

    /// The session ends for a reason from outside.
    pub fn end(&mut self, code: CloseCode, out: &mut Vec<Effect>) {
        if code == CloseCode::Revoked {
            out.push(failed(
                None,
                WireError::new(Code::Revoked, "this device was logged out; log in again"),
            ));
        }
        self.close(code, out);
    }

    fn refuse_and_close(&mut self, error: WireError, out: &mut Vec<Effect>) {
        out.push(failed(None, error));
        self.close(CloseCode::BadRequest, out);
    }

    fn close(&mut self, code: CloseCode, out: &mut Vec<Effect>) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            out.push(Effect::Close(code));
        }
    }
}

fn failed(id: Option<String>, error: WireError) -> Effect {
    Effect::Write(ServerFrame::Error { id, error })
}
