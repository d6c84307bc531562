//! The outbox on its own: what leaves when.

use natterjack_nats::UserId;
use rand::{SeedableRng as _, rngs::SmallRng};

use super::*;

const MS: Duration = Duration::from_millis(1);
const ROOM: Room = Room {
    sends_in_flight_max: 3,
    text_chars_max: 100,
};

fn outbox(pipeline: usize) -> Outbox {
    let backoff = Backoff {
        base: 200 * MS,
        max: 20_000 * MS,
    };
    Outbox::new(pipeline, 30_000 * MS, backoff)
}

fn queued(conversation: u64) -> Queued {
    let user = |n: u64| UserId::from_parts(n, n.into());
    let conversation = Conversation::dm(user(1), user(conversation));
    Queued {
        id: MessageId::generate(1),
        draft: Draft::text(conversation, "text"),
        queued_at: Duration::ZERO,
    }
}

fn fill(outbox: &mut Outbox, conversation: u64, count: usize) -> Vec<MessageId> {
    let push = |_| {
        let queued = queued(conversation);
        let id = queued.id;
        outbox.push(queued);
        id
    };
    (0..count).map(push).collect()
}

fn pump(outbox: &mut Outbox, now: Duration) -> Vec<MessageId> {
    let id = |frame: ClientFrame| match frame {
        ClientFrame::Send { id, .. } => id,
        other => panic!("unexpected {other:?}"),
    };
    outbox.pump(now, ROOM).frames.into_iter().map(id).collect()
}

#[test]
fn one_at_a_time_in_a_conversation_and_the_session_limit_across_them() {
    let mut outbox = outbox(1);
    let first = fill(&mut outbox, 2, 2);
    for conversation in 3..6 {
        fill(&mut outbox, conversation, 1);
    }
    assert_eq!(pump(&mut outbox, MS).len(), 3);
    assert!(pump(&mut outbox, MS).is_empty());
    assert!(outbox.acked(first[0]).is_some());
    assert_eq!(pump(&mut outbox, MS).len(), 1);
}

#[test]
fn a_broken_connection_goes_on_from_the_first_open_message_in_order() {
    let mut outbox = outbox(3);
    let ids = fill(&mut outbox, 2, 5);
    assert_eq!(pump(&mut outbox, MS), ids[..3]);
    assert!(outbox.acked(ids[1]).is_some());
    assert_eq!(pump(&mut outbox, MS), [ids[3]]);
    outbox.disconnected();
    assert_eq!(pump(&mut outbox, MS), [ids[0], ids[2], ids[3]]);
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept() {
    let mut outbox = outbox(1);
    let mut rng = SmallRng::seed_from_u64(1);
    let ids = fill(&mut outbox, 2, 2);
    assert_eq!(pump(&mut outbox, MS), [ids[0]]);
    let error = WireError::new(Code::RateLimited, "slow down").retry_after_ms(500);
    assert_eq!(outbox.refused(ids[0], &error, MS, &mut rng), Refused::Retrying);
    assert!(pump(&mut outbox, 500 * MS).is_empty());
    let deadline = outbox.deadline().expect("a retry");
    assert!(deadline >= 501 * MS && deadline <= 701 * MS);
    assert_eq!(pump(&mut outbox, deadline), [ids[0]]);
}

#[test]
fn a_final_error_takes_the_message_out_and_the_next_one_goes() {
    let mut outbox = outbox(1);
    let mut rng = SmallRng::seed_from_u64(1);
    let ids = fill(&mut outbox, 2, 2);
    pump(&mut outbox, MS);
    let error = WireError::new(Code::Conflict, "another text");
    let refused = outbox.refused(ids[0], &error, MS, &mut rng);
    assert!(matches!(refused, Refused::Failed(queued) if queued.id == ids[0]));
    assert_eq!(outbox.refused(ids[0], &error, MS, &mut rng), Refused::Unknown);
    assert_eq!(pump(&mut outbox, MS), [ids[1]]);
}

#[test]
fn no_answer_is_a_retry_under_the_same_id() {
    let mut outbox = outbox(2);
    let ids = fill(&mut outbox, 2, 2);
    pump(&mut outbox, MS);
    assert_eq!(outbox.deadline(), Some(30_001 * MS));
    outbox.expire(30_001 * MS);
    assert_eq!(pump(&mut outbox, 30_001 * MS), ids);
    assert_eq!(outbox.drain().len(), 2);
}
