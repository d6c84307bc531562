//! The timeline on its own: what the model of the whole machine reaches too seldom.

use natterjack_nats::{
    MessageId, UserId,
    wire::{Code, Kind},
};
use rand::{SeedableRng as _, rngs::SmallRng};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn conversation() -> Conversation {
    Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(2, 2))
}

fn message(seq: u64, prev: u64) -> Message {
    Message {
        conversation: conversation(),
        seq,
        prev,
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

fn page(seqs: &[(u64, u64)], head: u64, more_after: bool) -> Page {
    Page {
        conversation: conversation(),
        messages: seqs.iter().map(|(seq, prev)| message(*seq, *prev)).collect(),
        head,
        more_before: true,
        more_after,
    }
}

fn timeline(cursor: u64) -> Timeline {
    let mut timeline = Timeline::new(Backoff {
        base: 200 * MS,
        max: 20_000 * MS,
    });
    timeline.know(conversation(), cursor, false);
    timeline
}

fn seqs(shown: &Shown) -> Vec<u64> {
    shown.messages.iter().map(|message| message.seq).collect()
}

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(1)
}

#[test]
fn a_gap_is_closed_by_as_many_pages_as_it_takes() {
    let mut timeline = timeline(5);
    assert!(seqs(&timeline.arrived(message(20, 18), MS)).is_empty());
    let queries = timeline.due(MS, 2);
    assert_eq!(queries[0].after, Some(5));
    assert!(timeline.due(MS, 2).is_empty(), "one request at a time");
    assert!(seqs(&timeline.arrived(message(21, 20), MS)).is_empty());

    let shown = timeline.page(page(&[(7, 5), (9, 7)], 20, true), MS, &mut rng());
    assert_eq!(seqs(&shown), [7, 9]);
    assert_eq!(timeline.due(MS, 2)[0].after, Some(9));
    let shown = timeline.page(page(&[(18, 9), (20, 18)], 20, false), MS, &mut rng());
    assert_eq!(seqs(&shown), [18, 20, 21]);
    assert_eq!(timeline.deadline(), None);
    assert_eq!(seqs(&timeline.arrived(message(22, 21), MS)), [22]);
}

#[test]
fn an_unknown_predecessor_is_a_gap_only_behind_a_cursor() {
    let mut empty = timeline(0);
    assert_eq!(seqs(&empty.arrived(message(4, 0), MS)), [4]);
    let mut timeline = timeline(3);
    assert!(seqs(&timeline.arrived(message(9, 0), MS)).is_empty());
    let shown = timeline.page(page(&[(9, 3)], 9, false), MS, &mut rng());
    assert_eq!(seqs(&shown), [9]);
}

#[test]
fn what_the_user_may_not_see_does_not_hold_up_the_rest() {
    let mut timeline = timeline(3);
    timeline.arrived(message(9, 8), MS);
    timeline.due(MS, 2);
    // History knows a message 8 that is not for this user.
    let shown = timeline.page(page(&[], 8, false), MS, &mut rng());
    assert_eq!(seqs(&shown), [9]);
}

#[test]
fn more_than_can_be_held_is_asked_for_again() {
    let mut timeline = timeline(1);
    for seq in 3..1_003 {
        timeline.arrived(message(seq, seq - 1), MS);
    }
    timeline.due(MS, 2);
    let shown = timeline.page(page(&[(2, 1)], 2, false), MS, &mut rng());
    let held_until = *seqs(&shown).last().expect("messages");
    assert!(held_until < 1_002);
    let deadline = timeline.deadline().expect("another request");
    assert_eq!(timeline.due(deadline, 2)[0].after, Some(held_until));
}

#[test]
fn a_refusal_ends_in_a_gap_that_is_told() {
    let mut timeline = timeline(3);
    timeline.arrived(message(9, 8), MS);
    timeline.due(MS, 2);
    let away = WireError::new(Code::Unavailable, "later");
    let shown = timeline.refused(conversation(), Some(&away), MS, &mut rng());
    assert_eq!(shown, Shown::default());
    timeline.due(60_000 * MS, 2);
    let gone = WireError::new(Code::NotMember, "no");
    let shown = timeline.refused(conversation(), Some(&gone), MS, &mut rng());
    assert_eq!(shown.truncated, Some((3, 9)));
    assert_eq!(timeline.cursors()[&conversation()], 9);
}

#[test]
fn history_that_contradicts_the_live_tail_does_not_spin_for_ever() {
    let mut timeline = timeline(3);
    timeline.arrived(message(9, 8), MS);
    let mut now = MS;
    for _ in 0..100 {
        let Some(deadline) = timeline.deadline() else {
            break;
        };
        now = now.max(deadline);
        timeline.due(now, 2);
        let shown = timeline.page(page(&[], 3, false), now, &mut rng());
        if shown.truncated.is_some() {
            assert_eq!(timeline.deadline(), None);
            return;
        }
    }
    panic!("still asking");
}

#[test]
fn the_first_live_message_decides_over_a_list_read_beside_it() {
    let mut timeline = timeline(3);
    let other = Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(3, 3));
    timeline.know(other, 12, true);
    let early = Message {
        conversation: other,
        ..message(11, 10)
    };
    assert_eq!(seqs(&timeline.arrived(early, MS)), [11]);
    assert_eq!(timeline.cursors()[&other], 11);
}
