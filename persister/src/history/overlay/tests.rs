//! What the tail does to messages of either half.

use natterjack_nats::{
    Conversation, GroupId,
    headers::Position,
    wire::{Content, Stored},
};

use super::*;

fn user(number: u128) -> UserId {
    UserId::from_parts(1, number)
}

fn at(seq: u64, sender: UserId, content: Content) -> Message {
    Stored::new(
        Conversation::User(user(1)),
        MessageId::generate(seq),
        sender,
        seq,
        content,
    )
    .at(Position { seq, prev: 0 })
}

fn text(seq: u64, sender: UserId) -> Message {
    let content = Content::Text {
        text: format!("text {seq}"),
        reply_to: None,
    };
    at(seq, sender, content)
}

fn edit(seq: u64, sender: UserId, target: u64) -> Message {
    let content = Content::Edit {
        target,
        text: format!("edit {seq}"),
    };
    at(seq, sender, content)
}

fn delete(seq: u64, sender: UserId, target: u64) -> Message {
    at(seq, sender, Content::Delete { target })
}

/// Both halves: the first `in_postgres` messages are rows, the others the tail.
fn current(all: &[Message], in_postgres: usize, facts: &Facts) -> Vec<Message> {
    let mut shown = all.to_vec();
    Overlay::new(&all[in_postgres..], facts).apply(&mut shown);
    shown
}

fn row(sender: UserId) -> Target {
    Target {
        sender,
        is_text: true,
        deleted: false,
    }
}

#[test]
fn the_last_edit_of_the_sender_counts() {
    let all = [
        text(1, user(1)),
        edit(2, user(1), 1),
        edit(3, user(1), 1),
        edit(4, user(2), 1),
    ];
    for in_postgres in 0..2 {
        let facts = Facts {
            targets: [(1, row(user(1)))].into(),
            ..Facts::default()
        };
        let shown = current(&all, in_postgres, &facts);
        assert_eq!(shown[0].text.as_deref(), Some("edit 3"));
        assert_eq!(shown[0].edited, Some(3));
    }
}

#[test]
fn an_edit_that_the_row_includes_already_is_older_news() {
    let mut all = [text(1, user(1)), edit(2, user(1), 1)];
    (all[0].text, all[0].edited) = (Some("edit 5".into()), Some(5));
    assert_eq!(
        current(&all, 0, &Facts::default())[0].text.as_deref(),
        Some("edit 5")
    );
}

#[test]
fn a_deletion_takes_the_text_and_that_of_the_edits() {
    let all = [
        text(1, user(1)),
        edit(2, user(1), 1),
        delete(3, user(2), 1),
        delete(4, user(1), 1),
        edit(5, user(1), 1),
    ];
    let shown = current(&all, 0, &Facts::default());
    assert_eq!((shown[0].deleted, shown[0].edited), (Some(4), None));
    assert!(shown.iter().all(|message| message.text.is_none()));

    // In a group who may delete was asked when it was sent.
    let in_group = all.map(|message| Message {
        conversation: Conversation::Group(GroupId::from_parts(1, 1)),
        ..message
    });
    let facts = Facts {
        targets: [(1, row(user(1)))].into(),
        ..Facts::default()
    };
    assert_eq!(current(&in_group, 2, &facts)[0].deleted, Some(3));
}

#[test]
fn an_edit_of_what_postgres_knows_to_be_deleted_is_silent() {
    let all = [edit(9, user(1), 1)];
    let gone = Target {
        deleted: true,
        ..row(user(1))
    };
    let facts = Facts {
        targets: [(1, gone)].into(),
        ..Facts::default()
    };
    assert_eq!(current(&all, 0, &facts)[0].text, None);
}

#[test]
fn a_second_copy_is_a_duplicate() {
    let first = text(3, user(1));
    let mut copy = first.clone();
    copy.seq = 7;
    let shown = current(&[first.clone(), copy.clone()], 0, &Facts::default());
    assert_eq!((shown[0].kind, shown[1].kind), (Kind::Text, Kind::Duplicate));
    assert_eq!((shown[1].target, shown[1].text.as_ref()), (Some(3), None));

    let facts = Facts {
        firsts: [((copy.sender, copy.id), 3)].into(),
        ..Facts::default()
    };
    assert_eq!(current(&[copy], 0, &facts)[0].kind, Kind::Duplicate);
}
