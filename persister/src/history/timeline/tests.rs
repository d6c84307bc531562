//! Pages against a model: a list of sequences of which Postgres has a part.

use std::collections::BTreeSet;

use natterjack_nats::{
    MessageId, UserId,
    headers::Position,
    wire::{Content, Stored},
};
use proptest::prelude::*;

use super::*;

fn me() -> UserId {
    UserId::from_parts(1, 1)
}

fn message(seq: u64, bytes: usize) -> Message {
    let content = Content::Text {
        text: "x".repeat(bytes),
        reply_to: None,
    };
    Stored::new(
        Conversation::User(me()),
        MessageId::generate(seq),
        me(),
        seq,
        content,
    )
    .at(Position { seq, prev: 0 })
}

/// What the SQL answers.
fn read_rows(in_postgres: &[Message], window: Window, limit: usize) -> Rows {
    let below = |seq: u64| in_postgres.iter().rev().map(|row| row.seq).find(|&row| row < seq);
    let forward = |after: u64| {
        let all: Vec<Message> = in_postgres
            .iter()
            .filter(|row| row.seq > after)
            .cloned()
            .collect();
        let messages: Vec<Message> = all.iter().take(limit + 1).cloned().collect();
        Rows {
            cut_high: messages.len() == limit + 1,
            messages,
            below: below(after + 1).unwrap_or_default(),
            ..Rows::default()
        }
    };
    let backward = |before: u64| {
        let all: Vec<Message> = in_postgres
            .iter()
            .filter(|row| row.seq < before)
            .cloned()
            .collect();
        let messages: Vec<Message> = all[all.len().saturating_sub(limit + 1)..].to_vec();
        Rows {
            cut_low: messages.len() == limit + 1,
            below: messages
                .first()
                .and_then(|first| below(first.seq))
                .unwrap_or_default(),
            messages,
            ..Rows::default()
        }
    };
    let rows = match window {
        Window::After(seq) => forward(seq),
        Window::Before(seq) => backward(seq),
        Window::Around(seq) => {
            let (mut low, high) = (backward(seq), forward(seq.saturating_sub(1)));
            low.messages.extend(high.messages);
            Rows {
                cut_high: high.cut_high,
                ..low
            }
        }
    };
    Rows {
        head: in_postgres.last().map_or(0, |last| last.seq),
        ..rows
    }
}

/// What a read of the stream answers, of at most `most` messages.
fn read_tail(all: &[Message], from: u64, most: usize) -> Tail {
    let beyond = all.iter().filter(|one| one.seq >= from);
    let messages: Vec<Message> = beyond.clone().take(most).cloned().collect();
    Tail {
        more: beyond.count() > messages.len(),
        next: messages.last().map_or(from, |last| last.seq + 1),
        messages,
    }
}

fn any_window() -> impl Strategy<Value = Window> {
    prop_oneof![
        (0_u64..130).prop_map(Window::Before),
        Just(Window::Before(u64::MAX)),
        (0_u64..130).prop_map(Window::After),
        (0_u64..130).prop_map(Window::Around),
    ]
}

proptest! {
    #[test]
    fn a_page_is_a_contiguous_part_of_the_whole(
        seqs in prop::collection::btree_set(1_u64..120, 0..60),
        watermark in 0_u64..130,
        ahead in prop::collection::btree_set(1_u64..120, 0..20),
        window in any_window(),
        limit in 1_usize..30,
        reads in prop::option::of(1_usize..20),
    ) {
        let all: Vec<Message> = seqs.iter().map(|&seq| message(seq, 3)).collect();
        let is_in_postgres = |seq: u64| seq <= watermark || ahead.contains(&seq);
        let in_postgres: Vec<Message> = all.iter().filter(|one| is_in_postgres(one.seq)).cloned().collect();
        // Only a page after a sequence does with a part of the tail, from its cursor on if need be.
        let (tail, below) = match (window, reads) {
            (Window::After(after), Some(reads)) => {
                let tail = read_tail(&all, watermark + 1, reads);
                if tail.more && tail.next <= after + 1 {
                    (read_tail(&all, after + 1, reads), Some(after))
                } else {
                    (tail, None)
                }
            }
            _ => (read_tail(&all, watermark + 1, usize::MAX), None),
        };
        let rows = read_rows(&in_postgres, window, limit);
        let rows = Rows { below: below.unwrap_or(rows.below), ..rows };
        let head = if tail.more || below.is_some() { seqs.last().copied().unwrap_or_default() } else { 0 };
        let page = page(Conversation::User(me()), window, limit, rows, &tail, head);

        let seqs: Vec<u64> = seqs.into_iter().collect();
        let got: Vec<u64> = page.messages.iter().map(|one| one.seq).collect();
        let wanted = |seq: u64| match window {
            Window::Before(before) => seq < before,
            Window::After(after) => seq > after,
            Window::Around(_) => true,
        };
        let fitting: Vec<u64> = seqs.iter().copied().filter(|&seq| wanted(seq)).collect();
        match window {
            Window::After(_) if tail.more => {
                prop_assert!(!got.is_empty() && got.len() <= limit);
                prop_assert_eq!(&got[..], &fitting[..got.len()]);
            }
            Window::After(_) => prop_assert_eq!(&got[..], &fitting[..fitting.len().min(limit)]),
            Window::Before(_) => prop_assert_eq!(&got[..], &fitting[fitting.len().saturating_sub(limit)..]),
            Window::Around(seq) => {
                prop_assert_eq!(got.len(), fitting.len().min(limit));
                if seqs.contains(&seq) {
                    prop_assert!(got.contains(&seq));
                }
                let start = got.first().and_then(|first| seqs.iter().position(|seq| seq == first));
                if let Some(start) = start {
                    prop_assert_eq!(&got[..], &seqs[start..start + got.len()]);
                }
            }
        }
        for one in &page.messages {
            let prev = seqs.iter().rev().copied().find(|&seq| seq < one.seq).unwrap_or_default();
            // Nothing lies between the cursor and its successor.
            prop_assert_eq!(one.prev, prev.max(below.filter(|&below| below < one.seq).unwrap_or_default()), "prev of {}", one.seq);
        }
        prop_assert_eq!(page.head, seqs.last().copied().unwrap_or_default());
        if let (Some(first), Some(last)) = (got.first(), got.last()) {
            if below.is_none() {
                prop_assert_eq!(page.more_before, seqs.first().is_some_and(|seq| seq < first));
            }
            prop_assert_eq!(page.more_after, seqs.last().is_some_and(|seq| seq > last));
        } else if let Window::After(after) = window && below.is_none() {
            prop_assert_eq!(page.more_before, seqs.iter().any(|&seq| seq <= after));
            prop_assert!(!page.more_after);
        }
    }

    #[test]
    fn a_page_is_bounded_in_bytes_and_never_empty_for_it(
        sizes in prop::collection::vec(0_usize..300_000, 1..6), window in any_window(),
    ) {
        let all: Vec<Message> = (1..).zip(&sizes).map(|(seq, &size)| message(seq, size)).collect();
        let tail = read_tail(&all, 1, usize::MAX);
        let page = page(Conversation::User(me()), window, 200, Rows::default(), &tail, 0);
        let bytes: usize = page.messages.iter().map(cost).sum();
        prop_assert!(bytes <= PAGE_BYTES_MAX || page.messages.len() == 1);
        let seqs: BTreeSet<u64> = page.messages.iter().map(|one| one.seq).collect();
        prop_assert_eq!(seqs.len(), page.messages.len());
    }
}

#[test]
fn the_cost_covers_the_json() {
    for text in [
        "plain",
        "\"quoted\"\n",
        "\u{1}\u{2}\u{1f}",
        "ä🦎",
        "\u{7f}\u{2028}",
    ] {
        let mut one = message(u64::MAX >> 11, 0);
        one.text = Some(text.repeat(50));
        let json = serde_json::to_vec(&one).expect("plain");
        assert!(
            cost(&one) >= json.len(),
            "{text:?}: {} < {}",
            cost(&one),
            json.len()
        );
    }
}
