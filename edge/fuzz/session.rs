//! Fuzz target of a session: any frames, in any order, mixed with what its actor brings back, with
//! deliveries, time, drain and ends. The driver keeps to the actor's part of the contract and no
//! more: it reads only while the machine reads, and answers what the machine asked for, late, in any
//! order, or with an error.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bolero::{check, generator::*};
use natterjack_nats::{
    DeviceId, EdgeId, GroupId, MessageId, SessionId, Shards, UserId,
    headers::Position,
    services::conversations::{Behind, ListPage, Session},
    wire::{Content, Message, Page, Profile, Stored},
};

use super::*;
use crate::live::{Delivery, LiveMessage};

use crate::spoil::Spoiled;

const SENDS_MAX: usize = 3;

#[derive(Debug, Clone, TypeGenerator)]
enum Act {
    Frame(Frame),
    Spoiled(Spoiled),
    Binary,
    Broken,
    Heard,
    /// The n-th piece of work under way ends, well or with that error.
    Done {
        which: u8,
        error: Option<u8>,
        seqs: [u8; 3],
        more: bool,
    },
    Live {
        of: u8,
        seq: u8,
        prev: u8,
    },
    Ephemeral,
    Room,
    Heads {
        of: u8,
        head: u8,
    },
    Joined(u8),
    Left(u8),
    Tick {
        ms: u16,
    },
    Drain,
    End(u8),
}

/// Frames that make sense, more or less.
#[derive(Debug, Clone, TypeGenerator)]
enum Frame {
    Hello { resume: Option<[u8; 3]> },
    Send { of: u8, text: String },
    Edit { of: u8, target: u64 },
    Delete { of: u8, target: u64 },
    Receipt { of: u8, read: Option<u64> },
    Typing { of: u8, active: bool },
    History { of: u8, after: Option<u64> },
    Conversations,
    Token,
    Watch { users: u8 },
    Active,
    Ping,
}

const fn me() -> UserId {
    UserId::from_parts(1, 1)
}

fn conversation(of: u8) -> Conversation {
    match of % 4 {
        0 => Conversation::dm(me(), me()),
        1 => Conversation::dm(me(), UserId::from_parts(2, 2)),
        2 => Conversation::Group(GroupId::from_parts(3, 3)),
        _ => Conversation::User(me()),
    }
}

fn identity(device: u64) -> Identity {
    Identity {
        user: me(),
        device: DeviceId::from_parts(device, 1),
        expires_at_ms: 10_000_000,
        issued_at_ms: 0,
    }
}

fn error(code: u8) -> WireError {
    WireError::new(Code::ALL[usize::from(code) % Code::ALL.len()], "no")
}

fn message(conversation: Conversation, seq: u64, prev: u64) -> Message {
    let content = Content::Text {
        text: "text".into(),
        reply_to: None,
    };
    let id = MessageId::generate(1);
    Stored::new(conversation, id, me(), 0, content).at(Position { seq, prev })
}

/// What the machine has asked of its actor and not got yet.
#[derive(Debug)]
enum Work {
    Authenticate,
    Open(Option<BTreeMap<Conversation, u64>>),
    Store(MessageId),
    Signal,
    Page(String),
    List(String),
    Renew(String),
    Watch(String),
    Fetch(Conversation),
    Pause(Conversation),
}

struct Driver {
    machine: Machine,
    now: Now,
    work: VecDeque<Work>,
    /// The last sequence that was written in each conversation, or called truncated.
    written: BTreeMap<Conversation, u64>,
    /// Ids of requests under way, of which each is answered once.
    open: Vec<String>,
    closed: bool,
    requests: u32,
}

impl Driver {
    fn new() -> Self {
        let config = Config {
            session: SessionId::from_parts(1, 1),
            edge: EdgeId::from_parts(1, 1),
            shards: Shards::new(2).expect("in range"),
            ping_interval_ms: 25_000,
            hello_timeout_ms: 10_000,
            sends_in_flight: SENDS_MAX,
            typing_interval_ms: 2_000,
        };
        Self {
            machine: Machine::new(config, 5_000),
            now: Now {
                session_ms: 0,
                unix_ms: 1_000_000,
            },
            work: VecDeque::new(),
            written: BTreeMap::new(),
            open: vec![],
            closed: false,
            requests: 0,
        }
    }

    fn step(&mut self, call: impl FnOnce(&mut Machine, Now, &mut Vec<Effect>)) {
        let mut out = vec![];
        call(&mut self.machine, self.now, &mut out);
        let closes = |effect: &Effect| matches!(effect, Effect::Close(_));
        if let Some(at) = out.iter().position(closes) {
            assert_eq!(at + 1, out.len(), "nothing follows a close: {out:?}");
            assert!(!self.closed, "closed twice");
        }
        for effect in out {
            self.take(effect);
        }
        let under_way = |kind: fn(&Work) -> bool| self.work.iter().filter(|work| kind(work)).count();
        assert!(under_way(|work| matches!(work, Work::Store(_))) <= SENDS_MAX);
        assert!(under_way(|work| matches!(work, Work::Signal)) <= SIGNALS_MAX);
        let pages = under_way(|work| matches!(work, Work::Page(_) | Work::List(_) | Work::Renew(_)));
        assert!(pages <= PAGES_MAX);
        assert!(under_way(|work| matches!(work, Work::Watch(_))) <= 1);
        assert!(under_way(|work| matches!(work, Work::Fetch(_))) <= PAGES_MAX);
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Write(frame) => self.wrote(frame),
            Effect::WriteText(text) => {
                if let Ok(frame) = serde_json::from_str(&text) {
                    self.wrote(frame);
                }
            }
            Effect::Authenticate { .. } => self.work.push_back(Work::Authenticate),
            Effect::Open { resume, .. } => self.work.push_back(Work::Open(resume)),
            Effect::Store(draft) => {
                self.open.push(draft.id.to_string());
                self.work.push_back(Work::Store(draft.id));
            }
            Effect::Receipt { .. } | Effect::Typing { .. } => self.work.push_back(Work::Signal),
            Effect::Page { id, .. } => self.asked(id, Work::Page),
            Effect::List { id, .. } => self.asked(id, Work::List),
            Effect::Renew { id, .. } => self.asked(id, Work::Renew),
            Effect::Watch { id, .. } => self.asked(id, Work::Watch),
            Effect::Fetch { conversation, .. } => self.work.push_back(Work::Fetch(conversation)),
            Effect::Pause { conversation, .. } => self.work.push_back(Work::Pause(conversation)),
            Effect::Close(_) => self.closed = true,
            Effect::Ping | Effect::Renewed(_) | Effect::Live { .. } | Effect::Active(_) | Effect::CatchUp => {
            }
        }
    }

    fn asked(&mut self, id: String, work: fn(String) -> Work) {
        self.open.push(id.clone());
        self.work.push_back(work(id));
    }

    fn wrote(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Message(message) => self.heard(&message),
            ServerFrame::Truncated {
                conversation,
                cursor,
                head,
            } => {
                let last = self.written.entry(conversation).or_insert(cursor);
                assert_eq!(*last, cursor, "truncated behind what was written");
                *last = head;
            }
            // One that was overtaken: the others are answered through the queue.
            ServerFrame::Presence { users, .. } => assert!(users.is_empty()),
            ServerFrame::Ack { id, .. } => self.answered(&id.to_string()),
            ServerFrame::History { id, .. }
            | ServerFrame::Conversations { id, .. }
            | ServerFrame::Ok { id } => {
                self.answered(&id);
            }
            _ => {}
        }
    }

    /// Ascending, and without a hole behind what was written before.
    fn heard(&mut self, message: &Message) {
        if let Some(last) = self.written.insert(message.conversation, message.seq) {
            assert!(message.seq > last, "{} after {last}", message.seq);
            assert!(
                message.prev <= last,
                "{} is missing before {}",
                message.prev,
                message.seq
            );
        }
    }

    fn answered(&mut self, id: &str) {
        let found = self.open.iter().position(|open| open == id);
        drop(self.open.remove(found.expect("an answer to a request")));
    }

    fn text(&mut self, text: &str) {
        if self.machine.reads() {
            self.step(|machine, now, out| {
                machine.heard(now);
                machine.text(text, now, out);
            });
        }
    }

    fn frame(&mut self, frame: &Frame) {
        self.requests += 1;
        let id = self.requests.to_string();
        let message = MessageId::generate(u64::from(self.requests));
        let frame = match frame {
            Frame::Hello { resume } => ClientFrame::Hello(Box::new(Hello {
                token: "token".into(),
                device: None,
                client: String::new(),
                resume: resume.map(|cursors| {
                    let cursor = |(of, cursor): (u8, u8)| (conversation(of), u64::from(cursor));
                    (0..).zip(cursors).map(cursor).collect()
                }),
                active: true,
            })),
            Frame::Send { of, text } => ClientFrame::Send {
                id: message,
                conversation: conversation(*of),
                text: text.clone(),
                reply_to: None,
            },
            Frame::Edit { of, target } => ClientFrame::Edit {
                id: message,
                conversation: conversation(*of),
                target: *target,
                text: "new".into(),
            },
            Frame::Delete { of, target } => ClientFrame::Delete {
                id: message,
                conversation: conversation(*of),
                target: *target,
            },
            Frame::Receipt { of, read } => ClientFrame::Receipt {
                conversation: conversation(*of),
                delivered: None,
                read: *read,
            },
            Frame::Typing { of, active } => ClientFrame::Typing {
                conversation: conversation(*of),
                active: *active,
            },
            Frame::History { of, after } => ClientFrame::History {
                id,
                query: natterjack_nats::wire::HistoryQuery {
                    conversation: conversation(*of),
                    before: None,
                    after: *after,
                    around: None,
                    at: None,
                    limit: None,
                },
            },
            Frame::Conversations => ClientFrame::Conversations { id, page: None },
            Frame::Token => ClientFrame::Token {
                id,
                token: "token".into(),
            },
            Frame::Watch { users } => ClientFrame::Watch {
                id,
                users: vec![me(); 8 * usize::from(*users)],
            },
            Frame::Active => ClientFrame::Active { active: false },
            Frame::Ping => ClientFrame::Ping { id: Some(id) },
        };
        self.text(&serde_json::to_string(&frame).expect("plain"));
    }

    fn done(&mut self, which: u8, failed: Option<u8>, seqs: [u8; 3], more: bool) {
        let index = usize::from(which).checked_rem(self.work.len());
        let Some(work) = index.and_then(|index| self.work.remove(index)) else {
            return;
        };
        let failed = failed.map(error);
        let or = |failed: Option<WireError>| failed.map_or(Ok(()), Err);
        let result = or(failed.clone());
        match work {
            Work::Authenticate => self.step(|machine, _, out| {
                machine.authenticated(result.map(|()| identity(1)), out);
            }),
            Work::Open(resume) => {
                let session = self.session(resume.as_ref(), seqs);
                self.step(|machine, now, out| machine.opened(result.map(|()| session), now, out));
            }
            Work::Store(id) => {
                self.step(|machine, _, out| machine.stored(id, result.map(|()| 7), out));
                // An error answers it too.
                self.open.retain(|open| *open != id.to_string());
            }
            Work::Signal => self.step(|machine, _, out| machine.signalled(failed, out)),
            Work::Page(id) => {
                let page = page(conversation(0), seqs, more, 0);
                self.step(|machine, _, out| machine.page(id.clone(), result.map(|()| page), out));
                self.open.retain(|open| *open != id);
            }
            Work::List(id) => {
                let list = ListPage {
                    conversations: vec![],
                    next: None,
                };
                self.step(|machine, _, out| machine.list(id.clone(), result.map(|()| list), out));
                self.open.retain(|open| *open != id);
            }
            Work::Renew(id) => {
                let device = 1 + u64::from(more);
                let renewed = result.map(|()| identity(device));
                self.step(|machine, _, out| machine.renewed(id.clone(), renewed, out));
                self.open.retain(|open| *open != id);
            }
            Work::Watch(id) => {
                self.step(|machine, _, out| machine.watched(id.clone(), result, out));
                self.open.retain(|open| *open != id);
            }
            Work::Fetch(of) => {
                // History answers in order and without a hole after the cursor.
                let after = self.written.get(&of).copied().unwrap_or_default();
                let page = page(of, seqs, more, after);
                self.step(|machine, _, out| machine.fetched(of, result.map(|()| page), out));
            }
            Work::Pause(of) => self.step(|machine, _, out| machine.retry(of, out)),
        }
    }

    fn session(&mut self, resume: Option<&BTreeMap<Conversation, u64>>, heads: [u8; 3]) -> Session {
        let head = |(of, head): (u8, u8)| Behind {
            conversation: conversation(of),
            cursor: resume
                .and_then(|resume| resume.get(&conversation(of)).copied())
                .unwrap_or_default(),
            head: u64::from(head),
        };
        let behind: Vec<_> = (0..).zip(heads).map(head).collect();
        if let Some(resume) = resume {
            self.written
                .extend(resume.iter().map(|(of, cursor)| (*of, *cursor)));
        }
        Session {
            user: Profile {
                id: me(),
                handle: None,
                name: String::new(),
            },
            groups: vec![GroupId::from_parts(3, 3)],
            group_members_max: 100,
            watermarks: vec![0; 2],
            log_head: 0,
            conversations: vec![],
            next: None,
            behind: if resume.is_some() { behind } else { vec![] },
            behind_complete: true,
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Frame(frame) => self.frame(frame),
            Act::Spoiled(spoiled) => {
                if let Ok(text) = String::from_utf8(spoiled.bytes()) {
                    self.text(&text);
                }
            }
            Act::Binary if self.machine.reads() => self.step(|machine, _, out| machine.binary(out)),
            Act::Broken if self.machine.reads() => self.step(|machine, _, out| machine.broken(out)),
            Act::Binary | Act::Broken => {}
            Act::Heard => self.machine.heard(self.now),
            Act::Done {
                which,
                error,
                seqs,
                more,
            } => self.done(*which, *error, *seqs, *more),
            Act::Live { of, seq, prev } => {
                let (seq, prev) = (u64::from(*seq) + 1, u64::from((*prev).min(*seq)));
                let frame = ServerFrame::Message(Box::new(message(conversation(*of), seq, prev)));
                let live = LiveMessage {
                    conversation: conversation(*of),
                    position: Position { seq, prev },
                    frame: serde_json::to_string(&frame).expect("plain").into(),
                };
                self.deliver(Delivery::Message(Arc::new(live)));
            }
            Act::Ephemeral => self.deliver(Delivery::Ephemeral("{}".into())),
            Act::Room => self.deliver(Delivery::Room),
            Act::Heads { of, head } => {
                self.deliver(Delivery::Heads(Arc::from([(
                    conversation(*of),
                    u64::from(*head),
                )])));
            }
            Act::Joined(group) => self.deliver(Delivery::Joined(GroupId::from_parts(u64::from(*group), 3))),
            Act::Left(group) => self.deliver(Delivery::Left(GroupId::from_parts(u64::from(*group), 3))),
            Act::Tick { ms } => {
                self.now.session_ms += u64::from(*ms);
                self.now.unix_ms += u64::from(*ms);
                self.step(Machine::tick);
            }
            Act::Drain => {
                let drain = Draining {
                    edges: vec!["https://edge-2.example.com".into()],
                    within_ms: 4_000,
                    after_ms: 2_000,
                };
                self.step(|machine, now, out| machine.drain(drain, now, out));
            }
            Act::End(code) => {
                let codes = [CloseCode::Slow, CloseCode::Revoked, CloseCode::Unavailable];
                let code = codes[usize::from(*code) % codes.len()];
                self.step(|machine, _, out| machine.end(code, out));
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.step(|machine, _, out| machine.delivered(delivery, out));
    }
}

/// A page after a sequence, whole and in order, as history answers.
fn page(conversation: Conversation, steps: [u8; 3], more: bool, after: u64) -> Page {
    let mut last = after;
    let next = |step: u8| {
        let prev = last;
        last += u64::from(step % 4);
        (last > prev).then(|| message(conversation, last, prev))
    };
    let messages: Vec<_> = steps.into_iter().filter_map(next).collect();
    Page {
        conversation,
        messages,
        head: last + u64::from(more),
        more_before: after > 0,
        more_after: more,
    }
}

#[test]
fn any_session() {
    let acts = produce::<Vec<Act>>().with().len(0..120_usize);
    check!()
        .with_generator((acts, produce::<Option<Option<[u8; 3]>>>()))
        .for_each(|(acts, opens)| {
            let mut driver = Driver::new();
            // Most of the time it gets to be live.
            if let Some(resume) = *opens {
                driver.frame(&Frame::Hello { resume });
                driver.done(0, None, [0; 3], false);
                driver.done(0, None, [9; 3], false);
            }
            for act in acts {
                driver.act(act);
                if driver.closed {
                    break;
                }
            }
            if driver.closed {
                assert!(!driver.machine.reads(), "closed stays closed");
                driver.act(&Act::Tick { ms: u16::MAX });
                driver.act(&Act::Drain);
                driver.act(&Act::End(0));
            }
        });
}
