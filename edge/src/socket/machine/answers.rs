//! What comes back from the actor's work: identities, pages, outcomes.

use natterjack_nats::{
    Conversation, MessageId,
    services::conversations::{ListPage, Session},
    wire::{CloseCode, Code, Limits, Page, Ready, ServerFrame, WireError},
};

use super::{Effect, Machine, Now, Phase, failed};
use crate::{auth::Identity, live::Delivery, socket::tail::Out};

/// Room for the outcome of a delivery that a session keeps.
const OUTS_KEPT: usize = 4;

impl Machine {
    /// The token of `hello` was checked.
    pub fn authenticated(&mut self, outcome: Result<Identity, WireError>, out: &mut Vec<Effect>) {
        match outcome {
            Ok(identity) => {
                self.identity = Some(identity);
                let resume = self.resume.clone();
                out.push(Effect::Open { identity, resume });
            }
            Err(error) => self.turn_away(error, out),
        }
    }

    /// The session's place was found, or not.
    pub fn opened(&mut self, outcome: Result<Session, WireError>, now: Now, out: &mut Vec<Effect>) {
        let session = match outcome {
            Ok(session) => session,
            Err(error) => return self.turn_away(error, out),
        };
        let Some(identity) = self.identity else {
            return;
        };
        if self.phase == Phase::Opening {
            self.phase = Phase::Live;
        }
        let mut outs = vec![];
        self.tail.open(&session, self.resume.take(), &mut outs);
        out.push(Effect::Write(ServerFrame::Ready(Box::new(Ready {
            user: session.user,
            session: self.config.session,
            device: identity.device,
            edge: self.config.edge,
            server: concat!("natterjack ", env!("CARGO_PKG_VERSION")).into(),
            limits: Limits::new(session.group_members_max, self.config.sends_in_flight),
            ping_interval_ms: self.config.ping_interval_ms,
            token_expires_at: identity.expires_at_ms,
            now: now.unix_ms,
            conversations: session.conversations,
            next: session.next,
        }))));
        self.carry_out(&mut outs, out);
        out.push(Effect::Live { active: self.active });
    }

    /// The user has as many sessions as allowed.
    pub fn too_many(&mut self, out: &mut Vec<Effect>) {
        out.push(failed(
            None,
            WireError::new(Code::RateLimited, "too many connections; close another one first"),
        ));
        self.close(CloseCode::TooManyConnections, out);
    }

    fn turn_away(&mut self, error: WireError, out: &mut Vec<Effect>) {
        let code = match error.code {
            Code::TokenExpired => CloseCode::TokenExpired,
            Code::Revoked => CloseCode::Revoked,
            _ if error.retryable => CloseCode::Unavailable,
            _ => CloseCode::BadToken,
        };
        out.push(failed(None, error));
        self.close(code, out);
    }

    /// Something came from the live tail.
    pub fn delivered(&mut self, delivery: Delivery, out: &mut Vec<Effect>) {
        if matches!(delivery, Delivery::Room) {
            return out.push(Effect::CatchUp);
        }
        let mut outs = std::mem::take(&mut self.outs);
        self.tail.deliver(delivery, &mut outs);
        self.carry_out(&mut outs, out);
        // Most deliveries cause one frame; what a closed gap let out is not kept.
        if outs.capacity() <= OUTS_KEPT {
            self.outs = outs;
        }
    }

    /// The answer to [`Effect::Fetch`].
    pub fn fetched(
        &mut self,
        conversation: Conversation,
        page: Result<Page, WireError>,
        out: &mut Vec<Effect>,
    ) {
        let mut outs = vec![];
        self.tail.fetched(conversation, page, &mut outs);
        self.carry_out(&mut outs, out);
    }

    /// The pause of [`Effect::Pause`] is over.
    pub fn retry(&mut self, conversation: Conversation, out: &mut Vec<Effect>) {
        let mut outs = vec![];
        self.tail.retry(conversation, &mut outs);
        self.carry_out(&mut outs, out);
    }

    fn carry_out(&mut self, outs: &mut Vec<Out>, out: &mut Vec<Effect>) {
        if self.phase == Phase::Closed {
            return outs.clear();
        }
        for one in outs.drain(..) {
            out.push(match one {
                Out::Frame(frame) => Effect::WriteText(frame),
                Out::Message(message) => Effect::Write(ServerFrame::Message(message)),
                Out::Truncated {
                    conversation,
                    cursor,
                    head,
                } => Effect::Write(ServerFrame::Truncated {
                    conversation,
                    cursor,
                    head,
                }),
                Out::Resumed { complete } => Effect::Write(ServerFrame::Resumed { complete }),
                Out::Fetch { conversation, after } => Effect::Fetch { conversation, after },
                Out::Pause { conversation, ms } => Effect::Pause { conversation, ms },
                Out::TooMuch => return self.close(CloseCode::Slow, out),
            });
        }
    }

    /// The outcome of a send.
    pub fn stored(&mut self, id: MessageId, outcome: Result<u64, WireError>, out: &mut Vec<Effect>) {
        self.sends = self.sends.saturating_sub(1);
        out.push(match outcome {
            Ok(seq) => Effect::Write(ServerFrame::Ack { id, seq }),
            Err(error) => failed(Some(id.to_string()), error),
        });
        if self.phase == Phase::Draining && self.sends == 0 {
            self.close(CloseCode::Shutdown, out);
        }
    }

    /// A receipt or typing was taken; only receipts are told of errors.
    pub fn signalled(&mut self, error: Option<WireError>, out: &mut Vec<Effect>) {
        self.signals = self.signals.saturating_sub(1);
        out.extend(error.map(|error| failed(None, error)));
    }

    /// A page for the client.
    pub fn page(&mut self, id: String, outcome: Result<Page, WireError>, out: &mut Vec<Effect>) {
        self.pages = self.pages.saturating_sub(1);
        out.push(match outcome {
            Ok(page) => Effect::Write(ServerFrame::History { id, page }),
            Err(error) => failed(Some(id), error),
        });
    }

    /// A page of the list for the client.
    pub fn list(&mut self, id: String, outcome: Result<ListPage, WireError>, out: &mut Vec<Effect>) {
        self.pages = self.pages.saturating_sub(1);
        out.push(match outcome {
            Ok(ListPage { conversations, next }) => Effect::Write(ServerFrame::Conversations {
                id,
                conversations,
                next,
            }),
            Err(error) => failed(Some(id), error),
        });
    }

    /// A `watch` was taken, and is answered by what comes from the live tail; or it was not.
    pub fn watched(&mut self, id: String, outcome: Result<(), WireError>, out: &mut Vec<Effect>) {
        out.extend(outcome.err().map(|error| failed(Some(id), error)));
        self.watching.done(out);
    }

    /// A fresh token was checked.
    pub fn renewed(&mut self, id: String, outcome: Result<Identity, WireError>, out: &mut Vec<Effect>) {
        self.pages = self.pages.saturating_sub(1);
        let same = |identity: &Identity| {
            self.identity
                .is_some_and(|mine| (mine.user, mine.device) == (identity.user, identity.device))
        };
        match outcome {
            Ok(identity) if same(&identity) => {
                self.identity = Some(identity);
                out.push(Effect::Renewed(identity));
                out.push(Effect::Write(ServerFrame::Ok { id }));
            }
            Ok(_) => out.push(failed(
                Some(id),
                WireError::new(
                    Code::Unauthorized,
                    "the token is for another user or device; connect anew",
                ),
            )),
            Err(error) => out.push(failed(Some(id), error)),
        }
    }
}
