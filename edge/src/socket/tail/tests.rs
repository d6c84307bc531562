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
mod nudged;
mod world;

use world::{Op, World, any_op, play};

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

fn nudge(n: usize, head: u64) -> Delivery {
    let conversation = conversation(n);
    let frame = ServerFrame::Nudge { conversation, head };
    Delivery::Nudge(Arc::new(Nudge {
        conversation,
        head,
        frame: serde_json::to_string(&frame).expect("plain").into(),
    }))
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
