//! The tail against a model: streams that publish, a live feed that loses, repeats and swaps, a
//! history that answers late, in small pages, or not at all.

use natterjack_nats::{
    MessageId, UserId, limits,
    services::conversations::Behind,
    wire::{Code, Content, Kind, Profile, ServerFrame, Stored},
};
use proptest::prelude::*;

use super::*;

#[path = "../../../fuzz/tail.rs"]
mod fuzz;
mod lost;

const ME: UserId = UserId::from_parts(0, 0);

fn conversation(n: usize) -> Conversation {
    Conversation::dm(ME, UserId::from_parts(1 + n as u64, 0))
}

fn message(conversation: Conversation, seq: u64, prev: u64) -> Message {
    let content = Content::Text {
        text: seq.to_string(),
        reply_to: None,
    };
    Stored::new(conversation, MessageId::generate(1), ME, 0, content).at(Position { seq, prev })
}

fn session(watermark: u64, behind: Vec<Behind>) -> Session {
    Session {
        user: Profile {
            id: ME,
            handle: None,
            name: String::new(),
        },
        groups: vec![],
        group_members_max: 100,
        watermarks: vec![watermark],
        log_head: 0,
        conversations: vec![],
        next: None,
        behind,
        behind_complete: true,
    }
}

/// What was published, by conversation: ascending sequences.
struct World {
    tail: Tail,
    stream: Vec<Vec<u64>>,
    seq: u64,
    /// Live messages on their way, in order, as (conversation, sequence, predecessor).
    flight: VecDeque<(usize, u64, u64)>,
    fetches: Vec<(Conversation, u64)>,
    pauses: Vec<Conversation>,
    /// Up to where each conversation was delivered or called truncated.
    client: Vec<u64>,
    trimmed: Vec<u64>,
    /// Whether the session knows a message of the conversation, and not only its shard's baseline.
    exact: Vec<bool>,
    resumed: usize,
    resumes: bool,
}

impl World {
    fn new(published: &[usize], cursors: Option<&[usize]>, early: &[usize], trims: bool) -> Self {
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

    fn publish(&mut self, n: usize) {
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
    fn trim(&mut self, n: usize) {
        if self.exact[n] {
            self.trimmed[n] = self.seq;
        }
    }

    fn live(&mut self, (n, seq, prev): (usize, u64, u64)) {
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

    fn arrive(&mut self, index: usize) {
        if let Some(message) = self.flight.remove(index) {
            self.live(message);
        }
    }

    fn take(&mut self, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Frame(frame) => match serde_json::from_str(&frame).expect("own frame") {
                    ServerFrame::Message(message) => self.heard(&message),
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
    fn heard(&mut self, message: &Message) {
        assert_eq!(message.kind, Kind::Text);
        let n = self.index(message.conversation);
        let next = self.stream[n].iter().find(|seq| **seq > self.client[n]);
        assert_eq!(next, Some(&message.seq), "in {n} after {}", self.client[n]);
        (self.client[n], self.exact[n]) = (message.seq, true);
    }

    fn index(&self, wanted: Conversation) -> usize {
        (0..3).find(|n| conversation(*n) == wanted).expect("known")
    }

    fn answer(&mut self, index: usize, size: usize, fails: bool) {
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

    fn retry(&mut self) {
        if let Some(conversation) = self.pauses.pop() {
            let mut out = vec![];
            self.tail.retry(conversation, &mut out);
            self.take(out);
        }
    }

    fn compare_heads(&mut self) {
        let heads: Vec<_> = (0..3)
            .filter_map(|n| Some((conversation(n), *self.stream[n].last()?)))
            .collect();
        let mut out = vec![];
        self.tail.deliver(Delivery::Heads(heads.into()), &mut out);
        self.take(out);
    }

    /// Heads are compared and history answers: then nothing may be missing.
    fn settle(&mut self) {
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
        assert_eq!(self.tail.held_bytes, 0);
        assert_eq!(self.resumed, usize::from(self.resumes));
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Publish(usize),
    Arrive,
    Swap,
    Lose,
    Repeat,
    Answer(usize, usize),
    Fail(usize),
    Retry,
    Heads,
    Trim(usize),
}

fn play(world: &mut World, op: Op) {
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
        Op::Trim(n) => world.trim(n),
    }
}

fn any_op() -> impl Strategy<Value = Op> {
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
        1 => (0..3_usize).prop_map(Op::Trim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_the_live_tail_does_nothing_is_missing_doubled_or_out_of_order(
        published in prop::collection::vec(0..3_usize, 0..20),
        cursors in prop::option::of(prop::collection::vec(0..10_usize, 0..3)),
        early in prop::collection::vec(0..3_usize, 0..5),
        trims: bool,
        ops in prop::collection::vec(any_op(), 0..120),
    ) {
        let mut world = World::new(&published, cursors.as_deref(), &early, trims);
        for op in ops {
            play(&mut world, op);
        }
        world.settle();
    }
}

#[test]
fn a_resume_beyond_the_bound_says_so_and_goes_on_from_the_head() {
    let many = vec![0; limits::RESUME_MESSAGES_MAX + 500];
    let mut world = World::new(&many, Some(&[0]), &[0], false);
    assert_eq!(world.resumed, 0);
    world.settle();
    world.publish(0);
    world.arrive(0);
    assert_eq!(world.client[0], world.seq);
    assert!(world.fetches.is_empty());
}

#[test]
fn more_than_can_be_held_comes_from_history() {
    let mut world = World::new(&[0], None, &[], false);
    world.publish(0);
    let _ = world.flight.pop_front();
    for _ in 0..500 {
        world.publish(0);
        world.arrive(0);
    }
    assert_eq!(world.client[0], 1, "nothing is shown before the gap is closed");
    world.settle();
}

#[test]
fn nothing_of_a_group_is_heard_after_leaving_and_all_of_it_after_coming_back() {
    let group = GroupId::from_parts(5, 5);
    let conversation = Conversation::Group(group);
    let mut tail = Tail::new(Shards::new(1).expect("in range"));
    let mut out = vec![];
    tail.open(&session(0, vec![]), None, &mut out);
    let mut hear = |tail: &mut Tail, delivery: Delivery| {
        out.clear();
        tail.deliver(delivery, &mut out);
        out.clone()
    };
    let live = |seq| {
        Delivery::Message(Arc::new(LiveMessage {
            conversation,
            position: Position { seq, prev: seq - 1 },
            frame: "{}".into(),
        }))
    };
    assert_eq!(hear(&mut tail, live(1)).len(), 1);
    assert_eq!(hear(&mut tail, Delivery::Left(group)), []);
    assert_eq!(hear(&mut tail, live(2)), []);
    let fetch = Out::Fetch {
        conversation,
        after: 1,
    };
    assert_eq!(hear(&mut tail, Delivery::Joined(group)), [fetch]);
    // Removed again while history answers: what it says comes too late.
    hear(&mut tail, Delivery::Left(group));
    let page = Page {
        conversation,
        messages: vec![message(conversation, 2, 1)],
        head: 2,
        more_before: true,
        more_after: false,
    };
    let mut out = vec![];
    tail.fetched(conversation, Ok(page), &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_new_device_is_not_told_again_what_its_groups_say_already() {
    let log = Conversation::User(ME);
    let mut tail = Tail::new(Shards::new(1).expect("in range"));
    let mut out = vec![];
    let session = Session {
        log_head: 7,
        ..session(3, vec![])
    };
    tail.open(&session, None, &mut out);
    // The comparison of heads after connecting finds nothing new in the user's own log.
    tail.deliver(Delivery::Heads(Arc::from([(log, 7)])), &mut out);
    assert_eq!(out, []);
    tail.deliver(Delivery::Heads(Arc::from([(log, 9)])), &mut out);
    let fetch = Out::Fetch {
        conversation: log,
        after: 7,
    };
    assert_eq!(out, [fetch]);
}
