//! The life of a connection: frames from the server.

use std::time::Duration;

use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Code, Cursor, Ready, ServerFrame, WireError},
};

use super::{Machine, Output, Reply, State};
use crate::{
    error::{RequestError, SendFailure, StopReason},
    event::Event,
    outbox::{Queued, Refused, Room},
    requests::{Ask, Purpose},
    timeline::Shown,
};

/// How early before its end a token is renewed, at most.
const TOKEN_LEAD: Duration = Duration::from_secs(60);

/// How long to wait before the token source is asked again.
const TOKEN_RETRY: Duration = Duration::from_secs(5);

/// What is true of one connection only.
#[derive(Debug)]
pub(super) struct Live {
    pub since: Duration,
    pub heard: Duration,
    pub silence_max: Duration,
    pub room: Room,
    pub token_due: Option<Duration>,
    /// The edge drains, and this is when to leave it.
    pub leaves_at: Option<Duration>,
    me: UserId,
    /// The server's clock in Unix milliseconds at `since`.
    server_ms: u64,
}

impl Live {
    pub(super) fn new(now: Duration, ready: &Ready) -> Self {
        let mut live = Self {
            since: now,
            heard: now,
            // One interval and a half; never so short that a stutter of the network breaks it.
            silence_max: Duration::from_millis((ready.ping_interval_ms.saturating_mul(3) / 2).max(1_000)),
            room: Room {
                sends_in_flight_max: ready.limits.sends_in_flight_max.max(1),
                text_chars_max: ready.limits.text_chars_max,
            },
            token_due: None,
            leaves_at: None,
            me: ready.user.id,
            server_ms: ready.now,
        };
        live.token_until(now, Some(ready.token_expires_at));
        live
    }

    /// A new token is in force.
    pub(super) fn token_until(&mut self, now: Duration, expires_at: Option<u64>) {
        self.token_due = expires_at.map(|expires_at| {
            let age = u64::try_from(now.saturating_sub(self.since).as_millis()).unwrap_or(u64::MAX);
            let server_now = self.server_ms.saturating_add(age);
            let left = Duration::from_millis(expires_at.saturating_sub(server_now));
            // A source that gives tokens of a few seconds must not be asked without a pause.
            now + (left - TOKEN_LEAD.min(left / 2)).max(Duration::from_secs(1))
        });
    }

    pub(super) fn retry_token(&mut self, now: Duration) {
        self.token_due = Some(now + TOKEN_RETRY);
    }
}

impl Machine {
    pub(super) fn heard(&mut self, now: Duration) {
        if let State::Live(live) = &mut self.state {
            live.heard = now;
        }
    }

    /// What this client has up to `head` it says again; what it has not it asks for, and says then.
    fn nudged(&mut self, now: Duration, conversation: Conversation, head: u64) {
        match self.timeline.nudged(conversation, head, now) {
            Some(delivered) if self.settings.confirm_delivery => {
                self.receipts
                    .advance(conversation, Cursor { delivered, read: 0 }, now);
            }
            Some(delivered) => self.emit(Event::Nudged {
                conversation,
                delivered,
            }),
            None => self.pump(now),
        }
    }

    pub(super) fn frame(&mut self, now: Duration, frame: ServerFrame) {
        self.complaint = None;
        match frame {
            ServerFrame::Ready(ready) => self.ready(now, *ready),
            ServerFrame::Error { id: None, error } => {
                self.complaint = Some(error.clone());
                self.emit(Event::Error(error));
            }
            _ if !matches!(self.state, State::Live(_)) => {}
            ServerFrame::Ack { id, seq } => self.acked(now, id, seq),
            ServerFrame::Message(message) => {
                let conversation = message.conversation;
                let shown = self.timeline.arrived(*message, now);
                self.show(now, conversation, shown);
                self.pump(now);
            }
            ServerFrame::Truncated {
                conversation,
                cursor,
                head,
            } => {
                let mut shown = self.timeline.truncated(conversation, head);
                let behind = std::mem::take(&mut shown.messages);
                shown.truncated = Some((cursor, head));
                self.show(now, conversation, shown);
                let messages = behind;
                self.show(
                    now,
                    conversation,
                    Shown {
                        messages,
                        truncated: None,
                    },
                );
            }
            ServerFrame::Resumed { complete } => self.emit(Event::Resumed { complete }),
            ServerFrame::Receipts {
                conversation,
                cursors,
            } => {
                self.emit(Event::Receipts {
                    conversation,
                    cursors,
                });
            }
            ServerFrame::Typing {
                conversation,
                user,
                active,
            } => {
                self.emit(Event::Typing {
                    conversation,
                    user,
                    active,
                });
            }
            ServerFrame::Nudge { conversation, head } => self.nudged(now, conversation, head),
            ServerFrame::Presence { id, users } => self.presence(now, id.as_deref(), users),
            ServerFrame::Draining { edges, within_ms } => self.draining(now, edges, within_ms),
            ServerFrame::History { id, page } => {
                let fits =
                    |ask: &Ask| matches!(ask, Ask::History(query) if query.conversation == page.conversation);
                match self.requests.answered(&id, fits) {
                    Some(Purpose::Repair(conversation)) => {
                        let shown = self.timeline.page(page, now, &mut self.rng);
                        self.show(now, conversation, shown);
                    }
                    Some(purpose) => self.answer(purpose, Ok(Reply::History(page))),
                    None => {}
                }
                self.pump(now);
            }
            ServerFrame::Conversations {
                id,
                conversations,
                next,
            } => {
                let fits = |ask: &Ask| matches!(ask, Ask::Conversations(_));
                match self.requests.answered(&id, fits) {
                    Some(Purpose::Baseline) => {
                        for summary in conversations {
                            self.timeline.know(summary.conversation, summary.head, true);
                        }
                        self.ask_baseline(now, next);
                    }
                    Some(purpose) => self.answer(purpose, Ok(Reply::Conversations(conversations, next))),
                    None => {}
                }
                self.pump(now);
            }
            ServerFrame::Ok { id } => {
                let fits = |ask: &Ask| matches!(ask, Ask::Token(_));
                if self.requests.answered(&id, fits) == Some(Purpose::Token) {
                    let expires_at = self.token.as_ref().and_then(|token| token.expires_at);
                    if let State::Live(live) = &mut self.state {
                        live.token_until(now, expires_at);
                    }
                }
                self.pump(now);
            }
            ServerFrame::Pong { .. } => {}
            ServerFrame::Error { id: Some(id), error } => self.refused(now, &id, error),
        }
    }

    fn acked(&mut self, now: Duration, id: MessageId, seq: u64) {
        if let Some(queued) = self.outbox.acked(id) {
            let latency = now.saturating_sub(queued.queued_at);
            let conversation = queued.draft.conversation;
            self.emit(Event::Acked {
                id,
                conversation,
                seq,
                latency,
            });
            // After the event, so that whoever waits for an empty outbox finds it.
            let bytes = queued.draft.sent_text().len();
            self.out.push(Output::Release { bytes });
        }
        self.pump(now);
    }

    fn refused(&mut self, now: Duration, id: &str, error: WireError) {
        if let Ok(id) = id.parse() {
            let refused = self.outbox.refused(id, &error, now, &mut self.rng);
            if let Refused::Failed(queued) = refused {
                self.fail(&queued, SendFailure::Refused(error));
            }
        } else {
            match self.requests.answered(id, |_| true) {
                Some(Purpose::Repair(conversation)) => {
                    let shown = self
                        .timeline
                        .refused(conversation, Some(&error), now, &mut self.rng);
                    self.show(now, conversation, shown);
                }
                // It expired on its way, perhaps in the sleep of a laptop: the next one is fresh.
                Some(Purpose::Token) if !error.retryable && error.code != Code::TokenExpired => {
                    return self.stop(StopReason::Token(error));
                }
                Some(Purpose::Token) => {
                    if let State::Live(live) = &mut self.state {
                        live.retry_token(now);
                    }
                }
                Some(Purpose::Watch) => self.watch_refused(now, Some(error)),
                Some(purpose) => self.answer(purpose, Err(RequestError::Refused(error))),
                None => {}
            }
        }
        self.pump(now);
    }

    /// A message will not be sent.
    pub(super) fn fail(&mut self, queued: &Queued, error: SendFailure) {
        let (id, conversation) = (queued.id, queued.draft.conversation);
        self.emit(Event::SendFailed {
            id,
            conversation,
            error,
        });
        let bytes = queued.draft.sent_text().len();
        self.out.push(Output::Release { bytes });
    }

    pub(super) fn answer(&mut self, purpose: Purpose, answer: Result<Reply, RequestError>) {
        if let Purpose::Application(ticket) = purpose {
            self.out.push(Output::Answer { ticket, answer });
        }
    }

    pub(super) fn show(&mut self, now: Duration, conversation: Conversation, shown: Shown) {
        let me = match &self.state {
            State::Live(live) => Some(live.me),
            _ => None,
        };
        // One's own log and one's own messages need no receipt.
        let confirm = self.settings.confirm_delivery && !matches!(conversation, Conversation::User(_));
        for message in shown.messages {
            if confirm && Some(message.sender) != me {
                let delivered = message.seq;
                self.receipts
                    .advance(conversation, Cursor { delivered, read: 0 }, now);
            }
            self.emit(Event::Message(Box::new(message)));
        }
        if let Some((cursor, head)) = shown.truncated {
            self.emit(Event::Truncated {
                conversation,
                cursor,
                head,
            });
        }
    }
}
