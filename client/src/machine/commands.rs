//! What the application asks of the machine, and what leaves towards the server.

use std::time::Duration;

use natterjack_nats::{
    Conversation,
    wire::{ClientFrame, Code, WireError},
};

use super::{Command, Input, Machine, Output, Reply, State};
use crate::{
    error::{RequestError, SendFailure, StopReason},
    outbox::Queued,
    requests::{Ask, Purpose},
};

/// Repairs that are asked at the same time; the rest of the session's requests are for the
/// application.
const REPAIRS_MAX: usize = 2;

/// Typing is told again after so long, before those who hear it forget it (6 s).
const TYPING_AGAIN: Duration = Duration::from_secs(3);

impl Machine {
    pub(super) fn command(&mut self, now: Duration, command: Command) {
        match command {
            Command::Send(queued) => self.take(now, queued),
            Command::Typing { conversation, active } => self.typing(now, conversation, active),
            Command::Receipt { conversation, cursor } => self.receipts.advance(conversation, cursor, now),
            Command::Active(active) => {
                if std::mem::replace(&mut self.active, active) != active && self.is_live() {
                    self.out.push(Output::Send(ClientFrame::Active { active }));
                }
            }
            Command::Watch(users) => self.watch(now, users),
            Command::History { ticket, query } => self.ask(now, ticket, Ask::History(query)),
            Command::Conversations { ticket, page } => self.ask(now, ticket, Ask::Conversations(page)),
            Command::Cursors { ticket } => {
                let answer = Ok(Reply::Cursors(self.timeline.cursors()));
                self.out.push(Output::Answer { ticket, answer });
            }
            Command::Close => {
                if self.is_live() {
                    let frames = self.receipts.take_all(now);
                    self.out.extend(frames.into_iter().map(Output::Send));
                }
                self.stop(StopReason::Closed);
            }
        }
    }

    /// Commands that were on their way when the end came.
    pub(super) fn after_the_end(&mut self, input: Input) {
        match input {
            Input::Command(Command::Send(queued)) => self.fail(&queued, SendFailure::Stopped),
            Input::Command(Command::History { ticket, .. } | Command::Conversations { ticket, .. }) => {
                self.answer(Purpose::Application(ticket), Err(RequestError::Stopped));
            }
            Input::Command(Command::Cursors { ticket }) => {
                let answer = Ok(Reply::Cursors(self.timeline.cursors()));
                self.out.push(Output::Answer { ticket, answer });
            }
            _ => {}
        }
    }

    /// Sends whatever may leave now.
    pub(super) fn pump(&mut self, now: Duration) {
        let State::Live(live) = &self.state else {
            return;
        };
        let mut room = live.room;
        if self.is_leaving(now) {
            // What is not sent yet waits for the next edge.
            room.sends_in_flight_max = 0;
        }
        let pumped = self.outbox.pump(now, room);
        self.out.extend(pumped.frames.into_iter().map(Output::Send));
        for (queued, error) in pumped.rejected {
            self.fail(&queued, SendFailure::Refused(error));
        }
        let room = REPAIRS_MAX.saturating_sub(self.requests.repairs());
        let until = now + self.settings.request_timeout;
        for query in self.timeline.due(now, room) {
            let purpose = Purpose::Repair(query.conversation);
            self.requests.add(purpose, Ask::History(query), until);
        }
        let frames = self.requests.pump().into_iter().chain(self.receipts.take(now));
        self.out.extend(frames.map(Output::Send));
    }

    fn take(&mut self, now: Duration, queued: Queued) {
        match self.outbox.find(queued.id) {
            None => {
                self.outbox.push(queued);
                self.pump(now);
            }
            // One answer serves both.
            Some(first) if first.draft == queued.draft => {
                let bytes = queued.draft.sent_text().len();
                self.out.push(Output::Release { bytes });
            }
            Some(_) => {
                let message = "this id waits for its ack with another content: give each message its own id";
                let error = WireError::new(Code::Conflict, message);
                self.fail(&queued, SendFailure::Refused(error));
            }
        }
    }

    fn ask(&mut self, now: Duration, ticket: u64, ask: Ask) {
        let until = now + self.settings.request_timeout;
        let purpose = Purpose::Application(ticket);
        if self.requests.add(purpose, ask, until) {
            self.pump(now);
        } else {
            self.answer(purpose, Err(RequestError::Full));
        }
    }

    fn typing(&mut self, now: Duration, conversation: Conversation, active: bool) {
        let news = match self.typing {
            Some((of, was, at)) if of == conversation => {
                was != active || (active && at + TYPING_AGAIN <= now)
            }
            _ => active,
        };
        if news && self.is_live() {
            self.typing = Some((conversation, active, now));
            self.out
                .push(Output::Send(ClientFrame::Typing { conversation, active }));
        }
    }

    /// Whether another repair may be asked; if not, an answer or its timeout comes first.
    pub(super) fn may_repair(&self) -> bool {
        self.requests.repairs() < REPAIRS_MAX
    }

    const fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }
}
