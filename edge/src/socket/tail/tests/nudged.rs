//! Nudges: what is repaired for them, and when the client is asked.

use super::{super::early::EARLY_MAX, *};

fn opened(heads: &[(usize, u64)]) -> Tail {
    let mut tail = Tail::new(Shards::new(1).expect("in range"));
    let cursors = heads.iter().map(|(n, head)| (conversation(*n), *head)).collect();
    let mut out = vec![];
    tail.open(&session(0, vec![]), Some(cursors), &mut out);
    assert_eq!(out, [Out::Resumed { complete: true }]);
    tail
}

fn frame_of(delivery: &Delivery) -> Out {
    match delivery {
        Delivery::Nudge(nudge) => Out::Frame(nudge.frame.clone()),
        other => panic!("{other:?}"),
    }
}

fn page(messages: Vec<Message>) -> Page {
    Page {
        conversation: conversation(0),
        head: messages.last().map_or(0, |last| last.seq),
        messages,
        more_before: true,
        more_after: false,
    }
}

#[test]
fn who_has_everything_is_asked_at_once_and_nothing_is_read() {
    let mut tail = opened(&[(0, 7)]);
    for head in [7, 7, 5] {
        let mut out = vec![];
        tail.deliver(nudge(0, head), &mut out);
        assert_eq!(out, [frame_of(&nudge(0, head))]);
    }
}

#[test]
fn a_flood_costs_one_repair_and_the_client_is_asked_once_behind_what_was_missing() {
    let mut tail = opened(&[(0, 7)]);
    let mut out = vec![];
    for _ in 0..1_000 {
        tail.deliver(nudge(0, 9), &mut out);
    }
    tail.deliver(nudge(0, 8), &mut out);
    let fetch = Out::Fetch {
        conversation: conversation(0),
        after: 7,
    };
    assert_eq!(out, [fetch]);
    out.clear();
    let (first, last) = (message(conversation(0), 8, 7), message(conversation(0), 9, 8));
    tail.fetched(
        conversation(0),
        Ok(page(vec![first.clone(), last.clone()])),
        &mut out,
    );
    let expected = [
        Out::Message(Box::new(first)),
        Out::Message(Box::new(last)),
        frame_of(&nudge(0, 9)),
    ];
    assert_eq!(out, expected);
    assert!(tail.waiting.is_empty() && tail.fetching == 0);
}

#[test]
fn a_message_that_was_only_late_answers_as_well_as_the_page_that_it_overtakes() {
    let mut tail = opened(&[(0, 7)]);
    let mut out = vec![];
    tail.deliver(nudge(0, 9), &mut out);
    let late = message(conversation(0), 9, 7);
    let live = LiveMessage {
        conversation: conversation(0),
        position: Position { seq: 9, prev: 7 },
        frame: "{}".into(),
    };
    tail.deliver(Delivery::Message(Arc::new(live)), &mut out);
    out.clear();
    tail.fetched(conversation(0), Ok(page(vec![late.clone()])), &mut out);
    assert_eq!(
        out,
        [Out::Message(Box::new(late)), frame_of(&nudge(0, 9))],
        "once, and then the question"
    );
}

#[test]
fn nobody_is_asked_for_what_history_refuses_or_does_not_have() {
    let mut tail = opened(&[(0, 7)]);
    let mut out = vec![];
    tail.deliver(nudge(0, 9), &mut out);
    out.clear();
    let refused = WireError::new(Code::NotMember, "not a member");
    tail.fetched(conversation(0), Err(refused), &mut out);
    assert_eq!(out, []);

    let group = GroupId::from_parts(5, 5);
    tail.deliver(Delivery::Left(group), &mut out);
    let frame = ServerFrame::Nudge {
        conversation: Conversation::Group(group),
        head: 9,
    };
    let of_group = Nudge {
        conversation: Conversation::Group(group),
        head: 9,
        frame: serde_json::to_string(&frame).expect("plain").into(),
    };
    tail.deliver(Delivery::Nudge(Arc::new(of_group)), &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_nudge_before_the_session_is_open_counts_and_too_many_are_bounded() {
    let mut tail = Tail::new(Shards::new(1).expect("in range"));
    let mut out = vec![];
    for _ in 0..2 * EARLY_MAX {
        tail.deliver(nudge(0, 9), &mut out);
    }
    let kept = tail.early.as_ref().map(|early| early.deliveries.len());
    assert_eq!((kept, out.len()), (Some(EARLY_MAX), 0));
    let cursors = [(conversation(0), 7)].into();
    tail.open(&session(0, vec![]), Some(cursors), &mut out);
    let fetches = out.iter().filter(|out| matches!(out, Out::Fetch { .. }));
    assert_eq!(fetches.count(), 1);
    out.clear();
    tail.fetched(
        conversation(0),
        Ok(page(vec![message(conversation(0), 9, 7)])),
        &mut out,
    );
    assert_eq!(out.last(), Some(&frame_of(&nudge(0, 9))));
    assert_eq!(out.len(), 2);
}
