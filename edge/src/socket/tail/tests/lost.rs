//! What history contradicts, and what is told while history answers.

use super::*;

fn opened() -> Tail {
    let mut tail = Tail::new(Shards::new(1).expect("in range"));
    tail.open(&session(0, vec![]), None, &mut vec![]);
    tail
}

fn page(messages: Vec<Message>) -> Page {
    Page {
        conversation: conversation(0),
        head: messages.last().map_or(0, |last| last.seq),
        messages,
        more_before: false,
        more_after: false,
    }
}

#[test]
fn what_history_never_shows_is_given_up_and_said_so() {
    let mut tail = opened();
    let poison = LiveMessage {
        conversation: conversation(0),
        position: Position { seq: 9, prev: 5 },
        frame: "{}".into(),
    };
    let mut out = vec![];
    tail.deliver(Delivery::Message(Arc::new(poison)), &mut out);
    let mut rounds = 0;
    while tail.held_bytes > 0 {
        rounds += 1;
        assert!(rounds < 50, "it is asked for ever");
        out.clear();
        tail.fetched(conversation(0), Ok(page(vec![])), &mut out);
        tail.retry(conversation(0), &mut out);
    }
    let truncated = Out::Truncated {
        conversation: conversation(0),
        cursor: 0,
        head: 9,
    };
    assert_eq!(out, [truncated]);
    // While history is away, nothing is given up.
    let mut tail = opened();
    tail.deliver(Delivery::Heads([(conversation(0), 9)].into()), &mut out);
    for _ in 0..50 {
        let away = WireError::new(Code::Unavailable, "away");
        tail.fetched(conversation(0), Err(away), &mut vec![]);
        tail.retry(conversation(0), &mut vec![]);
    }
    out.clear();
    tail.fetched(
        conversation(0),
        Ok(page(vec![message(conversation(0), 9, 0)])),
        &mut out,
    );
    assert!(matches!(&out[..], [Out::Message(message)] if message.seq == 9));
}

#[test]
fn a_head_that_is_told_while_a_page_is_read_is_not_forgotten() {
    let (first, second) = (message(conversation(0), 3, 0), message(conversation(0), 4, 3));
    for told in [true, false] {
        let mut tail = opened();
        let mut out = vec![];
        tail.deliver(Delivery::Heads([(conversation(0), 3)].into()), &mut out);
        // The page was read before what is told of now was stored.
        if told {
            tail.deliver(Delivery::Heads([(conversation(0), 4)].into()), &mut out);
        }
        out.clear();
        tail.fetched(conversation(0), Ok(page(vec![first.clone()])), &mut out);
        let asks = out.iter().any(|out| matches!(out, Out::Fetch { after: 3, .. }));
        assert_eq!(asks, told);
        tail.fetched(conversation(0), Ok(page(vec![second.clone()])), &mut out);
        let shown = out.iter().filter(|out| matches!(out, Out::Message(_)));
        assert_eq!(shown.count(), 1 + usize::from(told));
    }
}
