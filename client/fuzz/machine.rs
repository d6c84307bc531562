//! Fuzz targets of the connection's state machine: against the model of an honest server over a
//! network that loses, repeats and breaks, and against a server that says anything at all.
//! docs/fuzzing.md tells how to run them for long.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bolero::{check, generator::*};
use natterjack_nats::{
    Conversation, DeviceId, EdgeId, MessageId, SessionId, UserId,
    wire::{
        Code, ConversationSummary, Cursor, HistoryQuery, Kind, Limits, Message, Page, Profile, Ready,
        ServerFrame, WireError,
    },
};
use rand::{SeedableRng as _, rngs::SmallRng};

use super::{
    Step, play,
    world::{Fate, Mood, World, conversation, me},
};
use crate::{
    backoff::Backoff,
    draft::Draft,
    event::Event,
    machine::{Command, Input, Machine, Output, Parts, Settings},
    outbox::{Outbox, Queued},
    receipts::Receipts,
    route::Route,
    timeline::Timeline,
    token::{AccessToken, TokenError},
};

/// A step of the world around the machine, in numbers of which every value means something.
#[derive(Debug, Clone, TypeGenerator)]
enum Act {
    Store(u8, u8),
    Send(u8),
    Serve(u8, u8),
    Deliver(u8),
    Cut(u8),
    Drain(bool),
    Watch(u8),
    Pass(u16),
    Nudge(u8),
}

impl Act {
    fn step(&self) -> Step {
        let of = |number: &u8| usize::from(*number) % 3;
        match self {
            Self::Store(conversation, fate) => {
                let fates = [Fate::Delivered, Fate::Dropped, Fate::Twice, Fate::Forgot];
                Step::Store(of(conversation), fates[usize::from(*fate) % 4])
            }
            Self::Send(conversation) => Step::Send(of(conversation)),
            Self::Serve(count, mood) => {
                let moods = [Mood::Good, Mood::AckLost, Mood::Overloaded];
                Step::Serve(usize::from(count % 8), moods[usize::from(*mood) % 3])
            }
            Self::Deliver(count) => Step::Deliver(usize::from(count % 8)),
            Self::Cut(code) => {
                let codes = [None, Some(3001), Some(3005), Some(3008)];
                Step::Cut(codes[usize::from(*code) % 4])
            }
            Self::Drain(other) => Step::Drain(*other),
            Self::Watch(count) => Step::Watch(u64::from(count % 4)),
            Self::Pass(ms) => Step::Pass(u64::from(*ms)),
            Self::Nudge(conversation) => Step::Nudge(of(conversation)),
        }
    }
}

#[test]
fn honest_server() {
    let acts = produce::<Vec<Act>>().with().len(0..150_usize);
    check!()
        .with_generator((acts, produce::<bool>(), 1..5_usize, produce::<u64>()))
        .for_each(|(acts, resumes, pipeline, seed)| {
            let mut world = World::new(*resumes, *pipeline, *seed);
            for act in acts {
                play(&mut world, act.step());
            }
            world.settle();
            world.check(*pipeline == 1);
        });
}

/// What a server that makes no sense may say, and what else may happen meanwhile.
#[derive(Debug, Clone, TypeGenerator)]
enum Say {
    Ready {
        heads: [u8; 3],
        more: bool,
        ping_ms: u64,
        expires_at: u64,
        sends: u8,
    },
    Message {
        of: u8,
        seq: u8,
        prev: u8,
    },
    Truncated {
        of: u8,
        cursor: u8,
        head: u8,
    },
    Page {
        id: u8,
        of: u8,
        seqs: [u8; 3],
        head: u8,
        more: bool,
    },
    List {
        id: u8,
        heads: [u8; 3],
        more: bool,
    },
    Ack {
        which: u8,
        seq: u64,
    },
    Refuse {
        which: u8,
        code: u8,
        after_ms: Option<u64>,
    },
    RefuseRequest {
        id: u8,
        code: u8,
    },
    Complain {
        code: u8,
    },
    Ok {
        id: u8,
    },
    Resumed,
    Lost {
        code: Option<u16>,
    },
    Opened,
    Edges {
        known: bool,
        names: [u8; 3],
    },
    Draining {
        names: [u8; 3],
        within_ms: u64,
    },
    Presence {
        id: u8,
    },
    Watch {
        count: u8,
    },
    Token {
        fails: u8,
    },
    Pass {
        ms: u16,
    },
    Send {
        of: u8,
        length: u16,
    },
    Ask {
        of: u8,
    },
    Close,
    Nudge {
        of: u8,
        head: u8,
    },
}

/// The machine between an application that counts and a server that lies.
struct Liar {
    machine: Machine,
    now: Duration,
    sent: Vec<MessageId>,
    /// What became of each.
    outcomes: BTreeMap<MessageId, u32>,
    /// The last sequence that was shown or called truncated.
    shown: BTreeMap<Conversation, u64>,
    /// Where a page or a truncation has spoken, on which the machine may rely.
    excused: BTreeSet<Conversation>,
    asked: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    stopped: bool,
}

impl Liar {
    fn new(seed: u64) -> Self {
        let backoff = Backoff {
            base: Duration::from_millis(200),
            max: Duration::from_secs(20),
        };
        let settings = Settings {
            device: None,
            client: "fuzz".to_owned(),
            confirm_delivery: true,
            hello_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            backoff,
        };
        let parts = Parts {
            outbox: Outbox::new(2, Duration::from_secs(30), backoff),
            timeline: Timeline::new(backoff),
            receipts: Receipts::new(Duration::from_millis(200)),
            route: Route::new(
                vec!["http://a".to_owned(), "http://b".to_owned()],
                !seed.is_multiple_of(3),
            ),
            rng: SmallRng::seed_from_u64(seed),
            resumes: seed.is_multiple_of(2),
            active: true,
        };
        let mut liar = Self {
            machine: Machine::new(settings, parts),
            now: Duration::ZERO,
            sent: vec![],
            outcomes: BTreeMap::new(),
            shown: BTreeMap::new(),
            excused: BTreeSet::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            stopped: false,
        };
        liar.input(Input::Start);
        liar
    }

    fn input(&mut self, input: Input) {
        let late = self.stopped;
        for output in self.machine.input(self.now, input) {
            match output {
                Output::Emit(event) => self.event(event),
                Output::Answer { ticket, .. } => {
                    assert!(self.asked.contains(&ticket), "an answer that nobody asked for");
                    assert!(self.answered.insert(ticket), "answered twice");
                }
                Output::Send(_)
                | Output::Connect { .. }
                | Output::Discover
                | Output::FetchToken { .. }
                | Output::Close => {
                    assert!(!late, "stopped, and still asks the world for something");
                }
                Output::Release { .. } => {}
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Message(message) => {
                let conversation = message.conversation;
                let last = self.shown.insert(conversation, message.seq);
                if let Some(last) = last {
                    assert!(message.seq > last, "{} after {last}", message.seq);
                    let whole = message.prev <= last || self.excused.contains(&conversation);
                    assert!(
                        whole,
                        "{} was shown, {} before it was not",
                        message.seq, message.prev
                    );
                }
            }
            Event::Truncated {
                conversation, head, ..
            } => {
                let last = self.shown.entry(conversation).or_default();
                *last = (*last).max(head);
            }
            Event::Acked { id, .. } | Event::SendFailed { id, .. } => {
                let outcomes = self.outcomes.entry(id).or_default();
                *outcomes += 1;
                assert_eq!(*outcomes, 1, "a message has one outcome");
                assert!(self.sent.contains(&id), "an outcome of nothing");
            }
            Event::Stopped(_) => {
                assert!(!self.stopped, "stopped twice");
                self.stopped = true;
            }
            _ => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.saturating_add(time);
        for _ in 0..1_000 {
            let Some(due) = self.machine.deadline().filter(|due| *due <= until) else {
                break;
            };
            self.now = self.now.max(due);
            self.input(Input::Tick);
            let next = self.machine.deadline();
            assert!(next.is_none_or(|next| next > self.now), "the machine spins");
        }
        self.now = until;
    }

    fn frame(&mut self, frame: ServerFrame) {
        self.input(Input::Frame(frame));
    }

    fn say(&mut self, say: &Say) {
        match say {
            Say::Ready {
                heads,
                more,
                ping_ms,
                expires_at,
                sends,
            } => {
                let limits = Limits::new(100, usize::from(*sends));
                self.frame(ServerFrame::Ready(Box::new(Ready {
                    user: Profile {
                        id: me(),
                        handle: None,
                        name: String::new(),
                    },
                    session: SessionId::from_parts(0, 0),
                    device: DeviceId::from_parts(0, 0),
                    edge: EdgeId::from_parts(0, 0),
                    server: "liar".to_owned(),
                    limits: Limits {
                        text_chars_max: 1_000,
                        ..limits
                    },
                    ping_interval_ms: *ping_ms,
                    token_expires_at: *expires_at,
                    now: 1_000_000,
                    conversations: summaries(heads),
                    next: more.then(|| "next".to_owned()),
                })));
            }
            Say::Message { of, seq, prev } => {
                self.frame(ServerFrame::Message(Box::new(message(*of, *seq, *prev))))
            }
            Say::Truncated { of, cursor, head } => {
                let conversation = which(*of);
                self.excused.insert(conversation);
                let (cursor, head) = (u64::from(*cursor), u64::from(*head));
                self.frame(ServerFrame::Truncated {
                    conversation,
                    cursor,
                    head,
                });
            }
            Say::Page {
                id,
                of,
                seqs,
                head,
                more,
            } => {
                let conversation = which(*of);
                self.excused.insert(conversation);
                let page = Page {
                    conversation,
                    messages: seqs
                        .iter()
                        .map(|seq| message(*of, *seq, seq.saturating_sub(1)))
                        .collect(),
                    head: u64::from(*head),
                    more_before: false,
                    more_after: *more,
                };
                self.frame(ServerFrame::History {
                    id: request(*id),
                    page,
                });
            }
            Say::List { id, heads, more } => self.frame(ServerFrame::Conversations {
                id: request(*id),
                conversations: summaries(heads),
                next: more.then(|| "next".to_owned()),
            }),
            Say::Ack { which, seq } => {
                if let Some(id) = self.pick(*which) {
                    self.frame(ServerFrame::Ack { id, seq: *seq });
                }
            }
            Say::Refuse {
                which,
                code,
                after_ms,
            } => {
                if let Some(id) = self.pick(*which) {
                    let id = Some(id.to_string());
                    self.frame(ServerFrame::Error {
                        id,
                        error: error(*code, *after_ms),
                    });
                }
            }
            Say::RefuseRequest { id, code } => {
                let id = Some(request(*id));
                self.frame(ServerFrame::Error {
                    id,
                    error: error(*code, None),
                });
            }
            Say::Complain { code } => self.frame(ServerFrame::Error {
                id: None,
                error: error(*code, None),
            }),
            Say::Ok { id } => self.frame(ServerFrame::Ok { id: request(*id) }),
            Say::Nudge { of, head } => {
                let (conversation, head) = (which(*of), u64::from(*head));
                self.frame(ServerFrame::Nudge { conversation, head });
            }
            Say::Resumed => self.frame(ServerFrame::Resumed { complete: true }),
            Say::Lost { code } => self.input(Input::Lost {
                code: *code,
                reason: "lost".to_owned(),
            }),
            Say::Opened => self.input(Input::Opened),
            Say::Edges { known, names } => self.input(Input::Edges(known.then(|| edges(names)))),
            Say::Draining { names, within_ms } => self.frame(ServerFrame::Draining {
                edges: edges(names),
                within_ms: *within_ms,
            }),
            Say::Presence { id } => self.frame(ServerFrame::Presence {
                id: Some(request(*id)),
                users: vec![],
            }),
            Say::Watch { count } => {
                let users = (0..u64::from(count % 4)).map(|user| UserId::from_parts(user, 9));
                self.input(Input::Command(Command::Watch(users.collect())));
            }
            Say::Token { fails } => {
                let token = AccessToken {
                    token: "token".to_owned(),
                    expires_at: None,
                };
                self.input(Input::Token(match fails % 8 {
                    0 => Err(TokenError::Unavailable("away".to_owned())),
                    _ => Ok(token),
                }));
            }
            Say::Pass { ms } => self.pass(Duration::from_millis(u64::from(*ms))),
            Say::Send { of, length } => {
                let id = MessageId::generate(self.now.as_millis() as u64);
                self.sent.push(id);
                let draft = Draft::text(which(*of), "x".repeat(usize::from(length % 1_100)));
                let queued_at = self.now;
                self.input(Input::Command(Command::Send(Queued { id, draft, queued_at })));
            }
            Say::Ask { of } => {
                let ticket = self.asked.len() as u64;
                self.asked.insert(ticket);
                let query = HistoryQuery {
                    conversation: which(*of),
                    before: None,
                    after: None,
                    around: None,
                    at: None,
                    limit: None,
                };
                self.input(Input::Command(Command::History { ticket, query }));
            }
            Say::Close => self.input(Input::Command(Command::Close)),
        }
    }

    fn pick(&self, which: u8) -> Option<MessageId> {
        let index = usize::from(which).checked_rem(self.sent.len() + 1)?;
        // One that was never sent, too.
        Some(
            self.sent
                .get(index)
                .copied()
                .unwrap_or_else(|| MessageId::generate(1)),
        )
    }

    /// The end: whatever was sent or asked has its one outcome by then.
    fn finish(mut self) {
        self.input(Input::Command(Command::Close));
        assert!(self.machine.stopped());
        for id in &self.sent {
            assert_eq!(self.outcomes.get(id), Some(&1), "a message was lost");
        }
        assert_eq!(self.asked, self.answered, "a question was lost");
        assert_eq!(self.machine.deadline(), None);
    }
}

fn which(of: u8) -> Conversation {
    conversation(usize::from(of) % 3)
}

/// Addresses, some of them none.
fn edges(names: &[u8; 3]) -> Vec<String> {
    let edge = |name: &u8| match name % 4 {
        0 => "nonsense".to_owned(),
        name => format!("http://{}", char::from(b'a' + name)),
    };
    names.iter().map(edge).collect()
}

/// The first requests of a machine: small numbers, and now and then garbage.
fn request(id: u8) -> String {
    if id == u8::MAX {
        "garbage".to_owned()
    } else {
        (id % 16).to_string()
    }
}

fn error(code: u8, after_ms: Option<u64>) -> WireError {
    let code = Code::ALL[usize::from(code) % Code::ALL.len()];
    let error = WireError::new(code, "no");
    after_ms.map_or(error.clone(), |ms| error.retry_after_ms(ms))
}

fn message(of: u8, seq: u8, prev: u8) -> Message {
    Message {
        conversation: which(of),
        seq: u64::from(seq),
        prev: u64::from(prev),
        id: MessageId::generate(0),
        sender: UserId::from_parts(2, 2),
        sent_at: 0,
        kind: Kind::Text,
        text: Some("text".to_owned()),
        reply_to: None,
        target: None,
        event: None,
        edited: None,
        deleted: None,
    }
}

fn summaries(heads: &[u8; 3]) -> Vec<ConversationSummary> {
    let summary = |(index, head): (usize, &u8)| ConversationSummary {
        conversation: conversation(index),
        head: u64::from(*head),
        last_message: None,
        unread: 0,
        cursor: Cursor::default(),
        mute: None,
        title: None,
        role: None,
        member_count: None,
        peer: None,
        peer_cursor: None,
    };
    heads.iter().enumerate().map(summary).collect()
}

#[test]
fn lying_server() {
    let says = produce::<Vec<Say>>().with().len(0..120_usize);
    check!()
        .with_generator((says, produce::<u64>(), produce::<bool>()))
        .for_each(|(says, seed, straight)| {
            let mut liar = Liar::new(*seed);
            // Most of the time at least the connection comes to be.
            if *straight {
                liar.say(&Say::Token { fails: 1 });
                liar.say(&Say::Opened);
                let (ping_ms, expires_at) = (25_000, 100_000_000);
                liar.say(&Say::Ready {
                    heads: [0; 3],
                    more: false,
                    ping_ms,
                    expires_at,
                    sends: 4,
                });
            }
            for say in says {
                liar.say(say);
            }
            liar.finish();
        });
}
