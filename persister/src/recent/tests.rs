//! The promise of the shared read: whoever asks sees everything that was stored before they asked,
//! whatever else happens meanwhile.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use natterjack_nats::{Conversation, GroupId, UserId, direct::DirectError};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{sync::Semaphore, task::yield_now};

use super::{
    index::{Head, Index, KEPT},
    line::{Line, MESSAGES_MAX, Missing, Part, Source},
};

fn user(number: u128) -> UserId {
    UserId::from_parts(1, number)
}

fn group(number: u128) -> GroupId {
    GroupId::from_parts(1, number)
}

/// One of few conversations among few users, or none.
fn conversation(number: u64) -> Option<Conversation> {
    let number = u128::from(number);
    match number % 7 {
        0 => None,
        1 | 2 => Some(Conversation::Group(group(number % 3))),
        3 => Some(Conversation::User(user(number % 5))),
        _ => Some(Conversation::dm(user(number % 5), user(number / 5 % 5))),
    }
}

const fn head(seq: u64) -> Head {
    Head { seq, stored: None }
}

/// A stream that many tasks write to, whose reads take as long as they like: what one answers is what
/// there was when it began.
#[derive(Debug, Default)]
struct World {
    /// Sequence n stands at n - 1.
    stored: Mutex<Vec<Option<Conversation>>>,
    reads: AtomicUsize,
    part: usize,
    rng: Mutex<Option<StdRng>>,
}

impl World {
    fn of_parts(part: usize) -> Arc<Self> {
        Arc::new(Self {
            part,
            ..Self::default()
        })
    }

    fn store(&self, conversation: Option<Conversation>) {
        self.stored.lock().expect("whole").push(conversation);
    }

    fn last(&self) -> u64 {
        self.stored.lock().expect("whole").len() as u64
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn random(&self, below: u64) -> u64 {
        let mut rng = self.rng.lock().expect("whole");
        rng.as_mut().map_or(0, |rng| rng.random_range(0..below))
    }

    async fn pass(&self, most: u64) {
        for _ in 0..self.random(most) {
            yield_now().await;
        }
    }

    /// The conversations of a user beyond a sequence and up to another one, with their messages.
    fn expected(
        &self,
        user: UserId,
        groups: &[GroupId],
        after: u64,
        upto: u64,
    ) -> HashMap<Conversation, Vec<u64>> {
        let stored = self.stored.lock().expect("whole");
        let mut expected: HashMap<Conversation, Vec<u64>> = HashMap::new();
        for (seq, conversation) in (1..=upto).zip(stored.iter()) {
            let Some(conversation) = conversation.filter(|_| seq > after) else {
                continue;
            };
            let mine = match conversation {
                Conversation::Group(group) => groups.contains(&group),
                other => other.admits(user) == Some(true),
            };
            if mine {
                expected.entry(conversation).or_default().push(seq);
            }
        }
        expected
    }
}

#[derive(Debug)]
struct Slow(Arc<World>);

impl Source for Slow {
    async fn after(&self, seq: u64) -> Result<Part, DirectError> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let all = self.0.stored.lock().expect("whole").clone();
        let from = usize::try_from(seq).expect("small");
        let behind = (seq + 1..).zip(all.iter().skip(from));
        let messages: Vec<_> = behind.take(self.0.part).collect();
        self.0.pass(6).await;
        if self.0.random(20) == 19 {
            return Err(DirectError::Timeout);
        }
        Ok(Part {
            left: (all.len().saturating_sub(from) - messages.len()) as u64,
            bytes: messages.len(),
            messages: messages.into_iter().map(|(seq, of)| (*of, head(seq))).collect(),
        })
    }
}

/// A user who stores something, opens a session and looks, again and again; how often they were
/// answered.
async fn opens(world: &World, line: &Arc<Line<Slow>>, watermark: &AtomicU64, me: UserId) -> usize {
    let mut answered = 0;
    for _ in 0..20 {
        for _ in 0..world.random(4) {
            world.store(conversation(world.random(70)));
            yield_now().await;
        }
        let captured = watermark.load(Ordering::SeqCst);
        // Between the capture and its registration others may move on.
        yield_now().await;
        let floor = line.hold(captured);
        world.pass(3).await;
        // Postgres writes on.
        watermark.fetch_max(world.random(world.last() + 1), Ordering::SeqCst);
        let groups: Vec<GroupId> = (0..u128::from(world.random(3))).map(group).collect();
        let before = world.last();
        let see = |index: &Index| {
            let found = index.of_user(me, &groups, floor.seq()).into_iter();
            let found = found.map(|(of, last)| {
                let all: Vec<u64> = index.of(&of, floor.seq()).map(|head| head.seq).collect();
                assert_eq!(all.last(), Some(&last));
                (of, all)
            });
            (found.collect::<HashMap<_, _>>(), index.upto())
        };
        match floor.look(see).await {
            Ok((seen, upto)) => {
                assert!(
                    upto >= before,
                    "{before} was stored before, and {upto} is all that was seen"
                );
                assert_eq!(seen, world.expected(me, &groups, captured, upto));
                answered += 1;
            }
            Err(Missing::Away(_)) => {}
            Err(Missing::TooMuch) => panic!("there is not that much"),
        }
    }
    answered
}

/// Many of them at once, in an order that the seed decides.
async fn all_open(seed: u64, part: usize, users: u128) -> usize {
    let world = Arc::new(World {
        part,
        rng: Mutex::new(Some(StdRng::seed_from_u64(seed))),
        ..World::default()
    });
    let line = Arc::new(Line::new(Slow(Arc::clone(&world))));
    let watermark = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..users {
        let (world, line, watermark) = (Arc::clone(&world), Arc::clone(&line), Arc::clone(&watermark));
        tasks.spawn(async move { opens(&world, &line, &watermark, user(number % 5)).await });
    }
    let mut answered = 0;
    while let Some(ended) = tasks.join_next().await {
        answered += ended.expect("no promise was broken");
    }
    answered
}

proptest! {
    #[test]
    fn everything_that_was_stored_before_is_seen(seed: u64, part in 1_usize..40, users in 1_u128..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        prop_assert!(runtime.block_on(all_open(seed, part, users)) > 0);
    }
}

/// Reads stand still until they are let go.
#[derive(Debug)]
struct Gated {
    slow: Slow,
    gate: Arc<Semaphore>,
}

impl Source for Gated {
    async fn after(&self, seq: u64) -> Result<Part, DirectError> {
        let part = self.slow.after(seq).await;
        self.gate.acquire().await.expect("open").forget();
        part
    }
}

fn gated(world: &Arc<World>) -> (Arc<Line<Gated>>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let source = Gated {
        slow: Slow(Arc::clone(world)),
        gate: Arc::clone(&gate),
    };
    (Arc::new(Line::new(source)), gate)
}

fn ask(line: &Arc<Line<Gated>>) -> tokio::task::JoinHandle<u64> {
    let floor = line.hold(0);
    tokio::spawn(async move { floor.look(Index::upto).await.expect("there") })
}

async fn until_one_reads(world: &World) {
    while world.reads() < 1 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_read_that_is_under_way_counts_for_nobody_who_asks_now_and_the_next_for_all() {
    let world = World::of_parts(100);
    let (line, gate) = gated(&world);
    world.store(conversation(1));
    let first = ask(&line);
    until_one_reads(&world).await;
    world.store(conversation(2));
    let later: Vec<_> = (0..50).map(|_| ask(&line)).collect();
    // They are all waiting by then.
    for _ in 0..200 {
        yield_now().await;
    }
    gate.add_permits(1);
    assert_eq!(first.await.expect("asked"), 1);
    gate.add_permits(1);
    for one in later {
        assert_eq!(one.await.expect("asked"), 2);
    }
    assert_eq!(world.reads(), 2, "fifty share one");
}

#[tokio::test]
async fn who_gives_up_while_reading_leaves_the_others_their_answer() {
    let world = World::of_parts(100);
    let (line, gate) = gated(&world);
    world.store(conversation(1));
    let gone = ask(&line);
    until_one_reads(&world).await;
    let stays = ask(&line);
    gone.abort();
    assert!(gone.await.expect_err("aborted").is_cancelled());
    gate.add_permits(1);
    assert_eq!(stays.await.expect("asked"), 1);
}

#[tokio::test]
async fn too_much_is_told_at_once_until_the_watermark_has_followed() {
    let world = World::of_parts(1_000);
    let line = Arc::new(Line::new(Slow(Arc::clone(&world))));
    let all = MESSAGES_MAX as u64 + 500;
    for _ in 0..all {
        world.store(conversation(1));
    }
    let floor = line.hold(0);
    assert!(matches!(floor.look(|_| ()).await, Err(Missing::TooMuch)));
    assert_eq!(world.reads(), 1, "the first part tells how much there is");
    assert!(matches!(floor.look(|_| ()).await, Err(Missing::TooMuch)));
    assert_eq!(world.reads(), 1);
    // Who came later does not wait for who is still there.
    let later = line.hold(500);
    assert_eq!(later.look(Index::whole).await.ok(), Some(MESSAGES_MAX));
    assert!(matches!(floor.look(|_| ()).await, Err(Missing::TooMuch)));
    drop(floor);
    // What the watermark has passed is kept without its content, and not without bound.
    let last = line.hold(all);
    drop(later);
    let seen = last.look(|index| (index.whole(), index.base())).await.ok();
    assert_eq!(seen, Some((0, all - KEPT as u64)));
}

#[tokio::test]
async fn a_watermark_that_goes_back_is_followed() {
    let world = World::of_parts(1_000);
    let line = Arc::new(Line::new(Slow(Arc::clone(&world))));
    for _ in 0..50 {
        world.store(conversation(1));
    }
    let seen = line.hold(40).look(|index| (index.whole(), index.upto())).await;
    assert_eq!(seen.ok(), Some((10, 50)));
    // As a new leader's may.
    assert_eq!(line.hold(20).look(Index::whole).await.ok(), Some(30));
    // A stream that was made anew begins at 1 again.
    world.stored.lock().expect("whole").clear();
    world.store(conversation(1));
    assert_eq!(line.hold(0).look(Index::upto).await.ok(), Some(1));
}

#[test]
fn what_is_dropped_leaves_nothing_behind() {
    let mut index = Index::default();
    for seq in 1..=20_000 {
        index.push(conversation(seq), head(seq));
        if seq % 100 == 0 {
            index.advance(seq - 50);
        }
    }
    assert!(index.whole() <= 50);
    let mine = index.of_user(user(1), &[group(1)], index.base());
    assert!(mine.len() > 2 && mine.iter().all(|(_, last)| *last > index.base()));
    index.restart(20_000);
    assert!(index.of_user(user(1), &[group(1)], 0).is_empty());
}
