//! The model: streams, a live feed and a history, and the client of the session.

use super::*;

/// What was published, by conversation: ascending sequences.
pub(super) struct World {
    pub(super) tail: Tail,
    pub(super) stream: Vec<Vec<u64>>,
    pub(super) seq: u64,
    /// Live messages on their way, in order, as (conversation, sequence, predecessor).
    pub(super) flight: VecDeque<(usize, u64, u64)>,
    pub(super) fetches: Vec<(Conversation, u64)>,
    pub(super) pauses: Vec<Conversation>,
    /// Up to where each conversation was delivered or called truncated.
    pub(super) client: Vec<u64>,
    pub(super) trimmed: Vec<u64>,
    /// Whether the session knows a message of the conversation, and not only its shard's baseline.
    pub(super) exact: Vec<bool>,
    pub(super) resumed: usize,
    pub(super) resumes: bool,
    /// Up to where the client was to be asked, and was, in each conversation.
    pub(super) nudged: Vec<u64>,
    pub(super) asked: Vec<u64>,
}

impl World {
    pub(super) fn new(published: &[usize], cursors: Option<&[usize]>, early: &[usize], trims: bool) -> Self {
        let mut world = Self {
            tail: Tail::new(Shards::new(1).expect("in range")),
            stream: vec![vec![]; 3],
            seq: 0,
            flight: VecDeque::new(),
            fetches: vec![],
            pauses: vec![],
            client: vec![0; 3],
            trimmed: vec![0; 3],
            exact: vec![false; 3],
            resumed: 0,
            resumes: cursors.is_some(),
            nudged: vec![0; 3],
            asked: vec![0; 3],
        };
        for n in published {
            world.publish(*n);
        }
        if trims {
            world.trimmed = vec![world.seq; 3];
        }
        let watermark = world.seq;
        let head = |world: &Self, n: usize| world.stream[n].last().copied().unwrap_or_default();
        let mut behind = vec![];
        let resume = cursors.map(|cursors| {
            let mut resume = BTreeMap::new();
            for n in 0..3 {
                let known = cursors
                    .get(n)
                    .copied()
                    .unwrap_or_default()
                    .min(world.stream[n].len());
                let cursor = known.checked_sub(1).map_or(0, |index| world.stream[n][index]);
                world.client[n] = cursor;
                world.exact[n] = cursor > 0;
                if cursor > 0 {
                    resume.insert(conversation(n), cursor);
                }
                let head = head(&world, n);
                if head > cursor {
                    behind.push(Behind {
                        conversation: conversation(n),
                        cursor,
                        head,
                    });
                }
            }
            resume
        });
        if resume.is_none() {
            for n in 0..3 {
                world.client[n] = head(&world, n);
            }
        }
        world.flight.clear();
        for n in early {
            world.publish(*n);
            world.arrive(0);
        }
        let mut out = vec![];
        world.tail.open(&session(watermark, behind), resume, &mut out);
        world.take(out);
        world
    }

    pub(super) fn publish(&mut self, n: usize) {
        self.seq += 1;
        let prev = self.stream[n]
            .last()
            .copied()
            .filter(|prev| *prev > self.trimmed[n])
            .unwrap_or_default();
        self.stream[n].push(self.seq);
        self.flight.push_back((n, self.seq, prev));
    }

    /// The stream lets go of a conversation: the next message's predecessor is in history only.
    pub(super) fn trim(&mut self, n: usize) {
        if self.exact[n] {
            self.trimmed[n] = self.seq;
        }
    }

    pub(super) fn live(&mut self, (n, seq, prev): (usize, u64, u64)) {
        let frame = ServerFrame::Message(Box::new(message(conversation(n), seq, prev)));
        let mut out = vec![];
        let live = LiveMessage {
            conversation: conversation(n),
            position: Position { seq, prev },
            frame: serde_json::to_string(&frame).expect("plain").into(),
        };
        self.tail.deliver(Delivery::Message(Arc::new(live)), &mut out);
        self.take(out);
    }

    pub(super) fn arrive(&mut self, index: usize) {
        if let Some(message) = self.flight.remove(index) {
            self.live(message);
        }
    }

    pub(super) fn take(&mut self, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Frame(frame) => match serde_json::from_str(&frame).expect("own frame") {
                    ServerFrame::Message(message) => self.heard(&message),
                    ServerFrame::Nudge { conversation, head } => {
                        let n = self.index(conversation);
                        assert!(head <= self.client[n], "asked for what it was not told");
                        self.asked[n] = head.max(self.asked[n]);
                    }
                    other => panic!("{other:?}"),
                },
                Out::Message(message) => self.heard(&message),
                Out::Fetch { conversation, after } => self.fetches.push((conversation, after)),
                Out::Pause { conversation, .. } => self.pauses.push(conversation),
                Out::Truncated {
                    conversation,
                    cursor,
                    head,
                } => {
                    let n = self.index(conversation);
                    assert_eq!(self.client[n], cursor);
                    self.client[n] = head;
                }
                Out::Resumed { .. } => self.resumed += 1,
                Out::TooMuch => panic!("there is not much"),
            }
        }
        assert!(self.fetches.len() <= FETCHES_MAX);
    }

    /// The invariant: the next message after the client's cursor, and no other.
    pub(super) fn heard(&mut self, message: &Message) {
        assert_eq!(message.kind, Kind::Text);
        let n = self.index(message.conversation);
        let next = self.stream[n].iter().find(|seq| **seq > self.client[n]);
        assert_eq!(next, Some(&message.seq), "in {n} after {}", self.client[n]);
        (self.client[n], self.exact[n]) = (message.seq, true);
    }

    pub(super) fn index(&self, wanted: Conversation) -> usize {
        (0..3).find(|n| conversation(*n) == wanted).expect("known")
    }

    pub(super) fn answer(&mut self, index: usize, size: usize, fails: bool) {
        let (conversation, after) = self.fetches.remove(index % self.fetches.len());
        let all = &self.stream[self.index(conversation)];
        let page = if fails {
            Err(WireError::new(Code::Unavailable, "away"))
        } else {
            let from = all.partition_point(|seq| *seq <= after);
            let messages: Vec<_> = (from..all.len())
                .take(size)
                .map(|at| {
                    message(
                        conversation,
                        all[at],
                        at.checked_sub(1).map_or(0, |prev| all[prev]),
                    )
                })
                .collect();
            Ok(Page {
                conversation,
                head: all.last().copied().unwrap_or_default(),
                more_before: from > 0,
                more_after: from + messages.len() < all.len(),
                messages,
            })
        };
        let mut out = vec![];
        self.tail.fetched(conversation, page, &mut out);
        self.take(out);
    }

    pub(super) fn retry(&mut self) {
        if let Some(conversation) = self.pauses.pop() {
            let mut out = vec![];
            self.tail.retry(conversation, &mut out);
            self.take(out);
        }
    }

    pub(super) fn compare_heads(&mut self) {
        let heads: Vec<_> = (0..3)
            .filter_map(|n| Some((conversation(n), *self.stream[n].last()?)))
            .collect();
        let mut out = vec![];
        self.tail.deliver(Delivery::Heads(heads.into()), &mut out);
        self.take(out);
    }

    /// Nobody has confirmed the last message of a conversation.
    pub(super) fn nudge(&mut self, n: usize) {
        if let Some(head) = self.stream[n].last().copied() {
            self.nudged[n] = head;
            let mut out = vec![];
            self.tail.deliver(nudge(n, head), &mut out);
            self.take(out);
        }
    }

    /// Heads are compared and history answers: then nothing may be missing.
    pub(super) fn settle(&mut self) {
        self.compare_heads();
        while !self.fetches.is_empty() || !self.pauses.is_empty() {
            while !self.fetches.is_empty() {
                self.answer(0, limits::PAGE_MESSAGES_MAX, false);
            }
            self.retry();
        }
        for n in 0..3 {
            assert_eq!(
                self.client[n],
                self.stream[n].last().copied().unwrap_or_default(),
                "{n}"
            );
        }
        assert_eq!(self.asked, self.nudged, "who is nudged is asked");
        assert_eq!(self.tail.held_bytes, 0);
        assert_eq!(self.resumed, usize::from(self.resumes));
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Publish(usize),
    Arrive,
    Swap,
    Lose,
    Repeat,
    Answer(usize, usize),
    Fail(usize),
    Retry,
    Heads,
    Nudge(usize),
    Trim(usize),
}

pub(super) fn play(world: &mut World, op: Op) {
    let asked = !world.fetches.is_empty();
    match op {
        Op::Publish(n) => world.publish(n),
        Op::Arrive => world.arrive(0),
        Op::Swap => world.arrive(1),
        Op::Lose => drop(world.flight.pop_front()),
        Op::Repeat => world
            .flight
            .front()
            .copied()
            .into_iter()
            .for_each(|message| world.live(message)),
        Op::Answer(index, size) if asked => world.answer(index, size, false),
        Op::Fail(index) if asked => world.answer(index, 1, true),
        Op::Answer(..) | Op::Fail(_) => {}
        Op::Retry => world.retry(),
        Op::Heads => world.compare_heads(),
        Op::Nudge(n) => world.nudge(n),
        Op::Trim(n) => world.trim(n),
    }
}

pub(super) fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..3_usize).prop_map(Op::Publish),
        6 => Just(Op::Arrive),
        1 => Just(Op::Swap),
        2 => Just(Op::Lose),
        1 => Just(Op::Repeat),
        4 => (any::<usize>(), 1..5_usize).prop_map(|(index, size)| Op::Answer(index, size)),
        1 => any::<usize>().prop_map(Op::Fail),
        2 => Just(Op::Retry),
        1 => Just(Op::Heads),
        2 => (0..3_usize).prop_map(Op::Nudge),
        1 => (0..3_usize).prop_map(Op::Trim),
    ]
}
