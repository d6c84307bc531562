//! The world around the machine: the application, the clock and the network to the server.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use natterjack_nats::{
    Conversation, GroupId, MessageId, UserId,
    wire::{ClientFrame, Message, ServerFrame},
};
use rand::{SeedableRng as _, rngs::SmallRng};

use crate::{
    backoff::Backoff,
    draft::Draft,
    event::Event,
    machine::{Command, Input, Machine, Output, Parts, Settings},
    outbox::{Outbox, Queued},
    receipts::Receipts,
    route::Route,
    timeline::Timeline,
    token::AccessToken,
};

pub const TEXT_CHARS_MAX: usize = 1_000;
const MS: Duration = Duration::from_millis(1);

/// What becomes of a live frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    Dropped,
    Twice,
    /// The stream has forgotten the predecessor.
    Forgot,
}

/// How the server treats a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    AckLost,
    Overloaded,
}

pub struct World {
    pub machine: Machine,
    pub now: Duration,
    pub connections: usize,
    pub tokens_fetched: usize,
    pub tokens_taken_in_band: usize,
    pub connected: bool,
    /// Where the machine wanted to connect last.
    pub server: String,
    /// What discovery answers.
    pub edges: Option<Vec<String>>,
    /// The last frame that named people to watch, on this connection.
    pub watched: Option<Vec<UserId>>,
    /// Whom the application shows.
    watching: Vec<UserId>,
    /// Whether the next `ready` is the start of a new device.
    starts: bool,
    pub to_server: VecDeque<ClientFrame>,
    pub to_client: VecDeque<ServerFrame>,
    pub seq: u64,
    pub logs: BTreeMap<Conversation, Vec<Message>>,
    sent: Vec<(Conversation, MessageId)>,
    /// What the application has seen: the last sequence of each conversation.
    pub shown: BTreeMap<Conversation, u64>,
    acked: BTreeMap<MessageId, u64>,
    released: usize,
}

pub fn me() -> UserId {
    UserId::from_parts(1, 1)
}

pub fn conversation(index: usize) -> Conversation {
    match index {
        0 => Conversation::dm(me(), UserId::from_parts(2, 2)),
        index => Conversation::Group(GroupId::from_parts(index as u64, 0)),
    }
}

impl World {
    pub fn new(resumes: bool, pipeline: usize, seed: u64) -> Self {
        let backoff = Backoff {
            base: 200 * MS,
            max: 20_000 * MS,
        };
        let settings = Settings {
            device: None,
            client: "test".to_owned(),
            confirm_delivery: true,
            hello_timeout: 15_000 * MS,
            request_timeout: 30_000 * MS,
            stable_after: 10_000 * MS,
            backoff,
        };
        let parts = Parts {
            outbox: Outbox::new(pipeline, 30_000 * MS, backoff),
            timeline: Timeline::new(backoff),
            receipts: Receipts::new(200 * MS),
            route: Route::new(vec!["http://a".to_owned(), "http://b".to_owned()], true),
            rng: SmallRng::seed_from_u64(seed),
            resumes,
            active: true,
        };
        let mut world = Self {
            machine: Machine::new(settings, parts),
            now: Duration::ZERO,
            connections: 0,
            tokens_fetched: 0,
            tokens_taken_in_band: 0,
            connected: false,
            server: String::new(),
            edges: None,
            watched: None,
            watching: Vec::new(),
            starts: !resumes,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            seq: 0,
            logs: BTreeMap::new(),
            sent: Vec::new(),
            shown: BTreeMap::new(),
            acked: BTreeMap::new(),
            released: 0,
        };
        world.input(Input::Start);
        world
    }

    pub fn input(&mut self, input: Input) -> Vec<Output> {
        let outputs = self.machine.input(self.now, input);
        let mut answers = Vec::new();
        for output in &outputs {
            match output {
                Output::FetchToken { .. } => {
                    self.tokens_fetched += 1;
                    answers.push(Input::Token(Ok(self.token())));
                }
                Output::Discover => answers.push(Input::Edges(self.edges.clone())),
                Output::Connect { server } => {
                    self.connections += 1;
                    self.server.clone_from(server);
                    self.connected = true;
                    answers.push(Input::Opened);
                }
                Output::Send(frame) => self.to_server.push_back(frame.clone()),
                Output::Close => self.disconnect(),
                Output::Emit(event) => self.event(event),
                Output::Release { .. } => self.released += 1,
                Output::Answer { .. } => {}
            }
        }
        // Tests that play the token source themselves look at the outputs only.
        for answer in answers {
            self.input(answer);
        }
        outputs
    }

    fn token(&self) -> AccessToken {
        AccessToken {
            token: "token".to_owned(),
            expires_at: Some(self.server_ms() + 900_000),
        }
    }

    pub fn server_ms(&self) -> u64 {
        1_000_000_000 + self.now.as_millis() as u64
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Message(message) => {
                let last = self.shown.insert(message.conversation, message.seq);
                let before = self.before(message);
                if let Some(last) = last {
                    assert!(message.seq > last, "{} after {last}", message.seq);
                    assert!(
                        before <= last,
                        "{} shown, {before} before it was not",
                        message.seq
                    );
                }
            }
            Event::Truncated {
                conversation,
                cursor,
                head,
            } => {
                let last = self.shown.entry(*conversation).or_default();
                assert_eq!(cursor, last, "truncated behind what was shown");
                *last = (*last).max(*head);
            }
            Event::Ready(ready) if std::mem::take(&mut self.starts) => {
                for summary in &ready.conversations {
                    self.shown.entry(summary.conversation).or_insert(summary.head);
                }
            }
            Event::Acked { id, seq, .. } => {
                assert_eq!(self.acked.insert(*id, *seq), None, "acked twice");
            }
            Event::SendFailed { .. } => {
                self.sent.pop();
            }
            _ => {}
        }
    }

    fn before(&self, message: &Message) -> u64 {
        let log = &self.logs[&message.conversation];
        let place = log.iter().position(|other| other.seq == message.seq);
        let place = place.expect("what is shown was stored");
        place.checked_sub(1).map_or(0, |place| log[place].seq)
    }

    pub fn send(&mut self, index: usize) {
        self.send_text(index, "text".to_owned());
    }

    pub fn send_text(&mut self, index: usize, text: String) -> Vec<Output> {
        let id = MessageId::generate(self.server_ms());
        let conversation = conversation(index);
        self.sent.push((conversation, id));
        let draft = Draft::text(conversation, text);
        let queued_at = self.now;
        self.input(Input::Command(Command::Send(Queued { id, draft, queued_at })))
    }

    pub fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some(frame) = self.to_client.pop_front() else {
                break;
            };
            self.input(Input::Frame(frame));
        }
    }

    fn disconnect(&mut self) {
        self.connected = false;
        self.watched = None;
        self.to_client.clear();
        self.to_server.clear();
    }

    pub fn cut(&mut self, code: Option<u16>) {
        if std::mem::take(&mut self.connected) {
            self.disconnect();
            let reason = "cut".to_owned();
            self.input(Input::Lost { code, reason });
        }
    }

    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.machine.deadline().filter(|deadline| *deadline <= until) {
            assert!(deadline + MS > self.now || deadline <= self.now);
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
            let next = self.machine.deadline();
            assert!(next.is_none_or(|next| next > self.now), "the machine spins");
        }
        self.now = until;
    }

    /// Jumps to the machine's next deadline.
    pub fn tick_next(&mut self) {
        if let Some(deadline) = self.machine.deadline() {
            self.pass(deadline.saturating_sub(self.now));
        }
    }

    /// The edge tells that it drains, within 5 s.
    pub fn drain(&mut self, names_another: bool) {
        if self.connected {
            let edges = if names_another {
                vec!["http://c".to_owned()]
            } else {
                vec![]
            };
            let within_ms = 5_000;
            self.to_client
                .push_back(ServerFrame::Draining { edges, within_ms });
        }
    }

    /// The application shows these people.
    pub fn watch(&mut self, count: u64) {
        let users = (0..count).map(|user| UserId::from_parts(user, 9)).collect();
        self.watching = users;
        self.input(Input::Command(Command::Watch(self.watching.clone())));
    }

    /// A quiet connection, over which the server pings.
    pub fn keep_alive(&mut self) {
        self.input(Input::Heard);
        self.pass(Duration::from_secs(10));
        self.serve(usize::MAX, Mood::Good);
        self.deliver(usize::MAX);
    }

    /// No more faults: all must come right. The last reconnect stands for the server's own doubt,
    /// which finds out about a lost last message.
    pub fn settle(&mut self) {
        if self.connections > 1 || !self.logs.is_empty() {
            self.cut(None);
        }
        for _ in 0..40 {
            self.serve(usize::MAX, Mood::Good);
            self.deliver(usize::MAX);
            self.input(Input::Heard);
            self.pass(2_000 * MS);
        }
    }

    pub fn check(&self, strict_order: bool) {
        let watched = self.watched.clone().unwrap_or_default();
        assert_eq!(
            watched, self.watching,
            "the server knows whom the application shows"
        );
        assert_eq!(self.acked.len(), self.sent.len(), "every send is acked");
        assert_eq!(self.released, self.sent.len(), "nothing is left in the outbox");
        for (conversation, log) in &self.logs {
            let head = log.last().map_or(0, |message| message.seq);
            assert_eq!(
                self.shown.get(conversation),
                Some(&head),
                "all is shown up to the head"
            );
            let mine: Vec<_> = log.iter().filter(|message| message.sender == me()).collect();
            let stored: BTreeSet<_> = mine.iter().map(|message| message.id).collect();
            assert_eq!(stored.len(), mine.len(), "each message is stored once");
            let of_here = self.sent.iter().filter(|(of, _)| of == conversation);
            let expected: Vec<_> = of_here.map(|(_, id)| *id).collect();
            assert_eq!(
                expected.len(),
                mine.len(),
                "all that was sent is stored, and nothing else"
            );
            for message in &mine {
                assert_eq!(self.acked.get(&message.id), Some(&message.seq));
            }
            if strict_order {
                let order: Vec<_> = mine.iter().map(|message| message.id).collect();
                assert_eq!(order, expected, "stored in the order of sending");
            }
        }
    }
}
