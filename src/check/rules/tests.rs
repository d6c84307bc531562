//! Each rule finds what was planted for it: a checker that cannot fail proves nothing.

use std::time::Duration;

use natterjack_nats::{
    GroupId, MessageId, UserId,
    headers::Position,
    wire::{Content, Cursor, Event, Role, Stored},
};

use super::*;
use crate::check::journal::{Attempt, Change, Receiver, Span, Told};

const EVERYTHING: &str = "every receiver is given everything, once, in the one order";
const CHANGES: &str = "edits and deletions are the same everywhere";
const MEMBERS: &str = "nobody is given anything of a conversation that they are not in";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A run in which all went well: a 1:1 chat or a group, alice who sends, bob's phone that hears.
/// The nth message is sent at the nth second, has the sequence 10 n, and is acked and delivered at
/// once.
struct Run {
    journal: Journal,
    history: History,
    conversation: Conversation,
    alice: UserId,
    bob: UserId,
}

impl Run {
    /// Five texts.
    fn new() -> Self {
        let (alice, bob) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        let mut run = Self::empty(Conversation::dm(alice, bob));
        for n in 1..=5 {
            let text = format!("text {n}");
            run.say(run.alice, Content::Text { text, reply_to: None });
        }
        run
    }

    /// Two texts, an edit of the first and a deletion of the second.
    fn changed() -> Self {
        let mut run = Self::empty(Conversation::Group(GroupId::from_parts(3, 3)));
        for n in 1..=2 {
            let text = format!("text {n}");
            run.say(run.alice, Content::Text { text, reply_to: None });
        }
        let text = String::from("better");
        run.say(run.alice, Content::Edit { target: 10, text });
        run.say(run.alice, Content::Delete { target: 20 });
        let messages = run.messages();
        (messages[0].text, messages[0].edited) = (Some("better".into()), Some(30));
        (messages[1].text, messages[1].deleted) = (None, Some(40));
        run
    }

    /// Bob comes into the group, hears a text, and is put out of it; then alice goes on.
    fn removed() -> Self {
        let mut run = Self::empty(Conversation::Group(GroupId::from_parts(3, 3)));
        let (alice, bob) = (run.alice, run.bob);
        run.happens(
            alice,
            Event::MemberAdded {
                user: bob,
                role: Role::Member,
            },
        );
        run.change(true, 1, 1);
        run.say(
            alice,
            Content::Text {
                text: "hello".into(),
                reply_to: None,
            },
        );
        run.happens(alice, Event::MemberRemoved { user: bob });
        run.change(false, 3, 3);
        run.journal.excuses(bob, run.conversation);
        run.say(
            alice,
            Content::Text {
                text: "he is gone".into(),
                reply_to: None,
            },
        );
        run.given().pop();
        run
    }

    fn empty(conversation: Conversation) -> Self {
        let (alice, bob) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
        let mut journal = Journal::new();
        journal.owns("bob's phone", bob);
        Self {
            journal,
            history: History::from([(conversation, Vec::new())]),
            conversation,
            alice,
            bob,
        }
    }

    fn say(&mut self, sender: UserId, content: Content) -> MessageId {
        let n = self.messages().len() as u64 + 1;
        let id = MessageId::generate(n);
        let stored = Stored::new(self.conversation, id, sender, n, content);
        let attempt = Attempt {
            sender,
            in_order_on: Some("alice's phone".into()),
            conversation: self.conversation,
            kind: stored.kind,
            text: stored.text.clone(),
            target: stored.target,
            at: secs(n),
        };
        self.journal.attempted(id, attempt);
        self.journal.acked(id, n * 10, secs(n));
        self.place(stored);
        id
    }

    fn happens(&mut self, by: UserId, event: Event) {
        let n = self.messages().len() as u64 + 1;
        let (id, content) = (MessageId::generate(n), Content::Event(event));
        self.place(Stored::new(self.conversation, id, by, n, content));
    }

    fn place(&mut self, stored: Stored) {
        let prev = self.messages().last().map_or(0, |last| last.seq);
        let n = self.messages().len() as u64 + 1;
        let message = stored.at(Position { seq: n * 10, prev });
        self.journal.delivered("bob's phone", &message, secs(n));
        self.messages().push(message);
    }

    fn change(&mut self, joined: bool, asked: u64, answered: u64) {
        self.journal.changed(Change {
            group: self.conversation,
            user: self.bob,
            joined,
            asked: secs(asked),
            answered: Some(secs(answered)),
        });
    }

    fn messages(&mut self) -> &mut Vec<Message> {
        self.history
            .get_mut(&self.conversation)
            .expect("the only conversation")
    }

    fn stretch(&mut self) -> &mut Stretch {
        self.journal
            .deliveries
            .values_mut()
            .next()
            .expect("the only receiver")
    }

    fn given(&mut self) -> &mut Vec<crate::check::Delivery> {
        &mut self.stretch().given
    }

    fn passes(&self) {
        check(&self.journal, &self.history).expect("nothing is broken");
    }

    fn broken(&self) -> &'static str {
        check(&self.journal, &self.history)
            .expect_err("a planted violation")
            .promise
    }
}

#[test]
fn a_good_run_passes() {
    let run = Run::new();
    let summary = check(&run.journal, &run.history).expect("nothing is broken");
    let expected = Summary {
        acked: 5,
        stored: 5,
        delivered: 5,
        receivers: 1,
        ..Summary::default()
    };
    assert_eq!(summary, expected);
    Run::changed().passes();
    Run::removed().passes();
}

#[test]
fn a_lost_message_is_found() {
    let mut run = Run::new();
    run.messages().remove(4);
    assert_eq!(
        run.broken(),
        "an acknowledged message is stored where the ack said"
    );
    run = Run::new();
    run.messages().remove(2);
    assert_eq!(run.broken(), "every message names its predecessor");
}

#[test]
fn a_second_copy_is_found() {
    let mut run = Run::new();
    let mut copy = run.messages()[0].clone();
    (copy.seq, copy.prev) = (60, 50);
    run.messages().push(copy);
    assert_eq!(run.broken(), "a message is stored exactly once");
}

#[test]
fn another_ack_for_a_retry_is_found() {
    let mut run = Run::new();
    let id = run.messages()[0].id;
    run.journal.acked(id, 11, secs(9));
    assert_eq!(run.broken(), "a retry gets the first ack again");
}

#[test]
fn an_ack_that_names_the_place_of_another_is_found() {
    let mut run = Run::new();
    let (first, second) = (run.messages()[0].id, run.messages()[1].id);
    let seq = |journal: &Journal, id| journal.acks[&id].seq;
    let (one, two) = (seq(&run.journal, first), seq(&run.journal, second));
    run.journal.acks.get_mut(&first).expect("acked").seq = two;
    run.journal.acks.get_mut(&second).expect("acked").seq = one;
    assert_eq!(
        run.broken(),
        "an acknowledged message is stored where the ack said"
    );
}

#[test]
fn an_invented_or_altered_message_is_found() {
    let mut run = Run::new();
    run.messages()[3].text = Some("something else".into());
    assert_eq!(run.broken(), "nothing is invented");
    run = Run::new();
    run.messages()[3].id = MessageId::generate(77);
    assert_eq!(run.broken(), "nothing is invented");
    run = Run::changed();
    run.messages()[2].target = Some(20);
    assert_eq!(run.broken(), "nothing is invented");
}

#[test]
fn a_refused_message_that_is_stored_is_found() {
    let mut run = Run::new();
    let id = run.messages()[3].id;
    run.journal.refused(id, "not_member".into());
    assert_eq!(run.broken(), "what is refused is not stored");
}

#[test]
fn a_hole_a_swap_and_a_repeat_in_what_a_receiver_got_are_found() {
    let mut run = Run::new();
    run.given().remove(1);
    assert_eq!(run.broken(), EVERYTHING);
    run = Run::new();
    run.given().swap(1, 2);
    assert_eq!(run.broken(), EVERYTHING);
    run = Run::new();
    let repeated = run.given()[4];
    run.given().push(repeated);
    assert_eq!(run.broken(), EVERYTHING);
    run = Run::new();
    run.given().pop();
    assert_eq!(run.broken(), EVERYTHING);
}

#[test]
fn a_device_whose_messages_are_turned_around_is_found() {
    let mut run = Run::new();
    let id = run.messages()[3].id;
    let attempt = run.journal.attempts.get_mut(&id).expect("tried");
    attempt.at = secs(1);
    assert_eq!(run.broken(), "what a device sends is stored in its order");
    // It was not promised to a device that does not wait.
    for attempt in run.journal.attempts.values_mut() {
        attempt.in_order_on = None;
    }
    run.passes();
}

#[test]
fn two_receivers_with_another_order_are_found() {
    let mut run = Run::new();
    let messages = run.messages().clone();
    for index in [0, 1, 3, 2, 4] {
        run.journal.delivered("bob's laptop", &messages[index], secs(9));
    }
    assert_eq!(run.broken(), EVERYTHING);
}

#[test]
fn a_broken_chain_and_another_content_at_a_receiver_are_found() {
    const PROMISE: &str = "what is given is what is stored, with its predecessor";
    let mut run = Run::new();
    run.given()[2].prev = 10;
    assert_eq!(run.broken(), PROMISE);
    run = Run::new();
    run.given()[2].sender = run.bob;
    assert_eq!(run.broken(), PROMISE);
    run = Run::new();
    run.given()[2].id = MessageId::generate(99);
    assert_eq!(run.broken(), PROMISE);
}

#[test]
fn a_receiver_owes_nothing_outside_its_stretch() {
    let mut run = Run::new();
    run.given().remove(0);
    run.given().pop();
    (run.stretch().after, run.stretch().until) = (10, Some(40));
    assert!(check(&run.journal, &run.history).is_ok());
    assert!(run.journal.all_reached(&run.conversation, 50));
}

#[test]
fn an_edit_or_a_deletion_that_one_receiver_did_not_see_is_found() {
    let better = crate::check::journal::TextHash::of("better");
    let mut run = Run::changed();
    // The edit came with another text.
    run.given()[2].text = Some(crate::check::journal::TextHash::of("worse"));
    assert_eq!(run.broken(), CHANGES);
    // It claims that the text holds the edit already, and shows the old one.
    run = Run::changed();
    run.given()[0].edited = Some(30);
    assert_eq!(run.broken(), CHANGES);
    run.given()[0].text = Some(better);
    run.passes();
    // It claims a deletion that was none.
    run.given()[0].deleted = Some(35);
    assert_eq!(run.broken(), CHANGES);
}

#[test]
fn an_edit_or_a_deletion_that_history_does_not_show_is_found() {
    let mut run = Run::changed();
    (run.messages()[0].text, run.messages()[0].edited) = (Some("text 1".into()), None);
    assert_eq!(run.broken(), CHANGES);
    run = Run::changed();
    (run.messages()[1].text, run.messages()[1].deleted) = (Some("text 2".into()), None);
    assert_eq!(run.broken(), CHANGES);
    // Somebody else's edit counts for nothing.
    run = Run::changed();
    let (bob, text) = (run.bob, String::from("mine now"));
    run.say(bob, Content::Edit { target: 10, text });
    run.passes();
    (run.messages()[0].text, run.messages()[0].edited) = (Some("mine now".into()), Some(50));
    assert_eq!(run.broken(), CHANGES);
}

#[test]
fn a_cursor_that_falls_or_was_never_said_is_found() {
    let mut run = Run::new();
    let (bob, conversation) = (run.bob, run.conversation);
    let cursor = |read| Cursor {
        delivered: read,
        read,
    };
    run.journal.says(bob, conversation, cursor(30));
    let summary = |read| ConversationSummaryOf { conversation, read }.summary();
    run.journal.listed("bob's phone", bob, &summary(20));
    run.journal.listed("bob's phone", bob, &summary(30));
    run.passes();
    run.journal.listed("bob's phone", bob, &summary(20));
    assert_eq!(run.broken(), "cursors only rise");

    run = Run::new();
    run.journal.says(bob, conversation, cursor(30));
    run.journal.heard_of(bob, conversation, cursor(40));
    assert_eq!(run.broken(), "a cursor is where its user put it");
}

/// The parts of a list entry that matter here.
struct ConversationSummaryOf {
    conversation: Conversation,
    read: u64,
}

impl ConversationSummaryOf {
    fn summary(&self) -> natterjack_nats::wire::ConversationSummary {
        let Self { conversation, read } = self;
        let json = serde_json::json!({
            "conversation": conversation, "head": 50, "unread": 0,
            "cursor": { "delivered": read, "read": read },
        });
        serde_json::from_value(json).expect("the wire's form")
    }
}

#[test]
fn a_wrong_unread_count_is_found() {
    let mut run = Run::new();
    let (bob, conversation) = (run.bob, run.conversation);
    let cursor = Cursor {
        delivered: 50,
        read: 30,
    };
    run.journal.says(bob, conversation, cursor);
    run.journal.rests(bob, conversation, Told { cursor, unread: 2 });
    run.passes();
    run.journal.rests(bob, conversation, Told { cursor, unread: 3 });
    assert_eq!(run.broken(), "the unread count is what lies behind the cursor");
}

#[test]
fn a_delivery_to_somebody_who_was_removed_is_found() {
    let mut run = Run::removed();
    let (late, phone) = (run.messages()[3].clone(), "bob's phone");
    run.journal.delivered(phone, &late, secs(4));
    assert_eq!(run.broken(), MEMBERS);
    // Let in again later: what was said meanwhile may be read, but not before.
    let mut run = Run::removed();
    let late = run.messages()[3].clone();
    let (alice, bob) = (run.alice, run.bob);
    run.happens(
        alice,
        Event::MemberAdded {
            user: bob,
            role: Role::Member,
        },
    );
    run.change(true, 5, 5);
    run.given().pop();
    let back = run.messages()[4].clone();
    run.journal.delivered(phone, &late, secs(6));
    run.journal.delivered(phone, &back, secs(6));
    run.passes();
    run.given()[3].at = secs(4);
    assert_eq!(run.broken(), MEMBERS);
}

#[test]
fn the_first_row_after_a_cursor_may_name_the_cursor_if_nothing_lies_between() {
    let page = |run: &mut Run, after, prev| {
        let mut messages = run.messages()[2..].to_vec();
        messages[0].prev = prev;
        let page = natterjack_nats::wire::Page {
            conversation: run.conversation,
            messages,
            head: 50,
            more_before: true,
            more_after: false,
        };
        run.journal.paged("bob's phone", &page, after, secs(9));
    };
    let mut run = Run::new();
    page(&mut run, Some(25), 25);
    run.passes();
    // Another place than the cursor, one before what lies between, and no cursor at all.
    for (after, prev) in [(Some(25), 24), (Some(15), 15), (None, 25)] {
        page(&mut run, after, prev);
        assert_eq!(run.broken(), "a page shows what is stored");
    }
}

#[test]
fn a_page_that_shows_something_else_or_to_somebody_else_is_found() {
    let page = |conversation, messages| natterjack_nats::wire::Page {
        conversation,
        messages,
        head: 50,
        more_before: false,
        more_after: false,
    };
    let mut run = Run::new();
    let mut messages = run.messages().clone();
    let all = page(run.conversation, messages.clone());
    run.journal.paged("bob's phone", &all, None, secs(9));
    run.passes();
    messages[2].prev = 10;
    let all = page(run.conversation, messages);
    run.journal.paged("bob's phone", &all, None, secs(9));
    assert_eq!(run.broken(), "a page shows what is stored");

    let mut run = Run::removed();
    let messages = run.messages().clone();
    let old = page(run.conversation, messages[..3].to_vec());
    run.journal.paged("bob's phone", &old, None, secs(9));
    run.passes();
    let all = page(run.conversation, messages);
    run.journal.paged("bob's phone", &all, None, secs(9));
    assert_eq!(run.broken(), MEMBERS);
}

#[test]
fn a_delivery_of_a_chat_of_others_is_found() {
    let mut run = Run::new();
    let messages = run.messages().clone();
    run.journal.owns("carol's phone", UserId::from_parts(9, 9));
    for message in &messages {
        run.journal.delivered("carol's phone", message, secs(9));
    }
    assert_eq!(run.broken(), MEMBERS);
}

#[test]
fn a_text_of_somebody_who_was_removed_is_found_once_the_bound_has_passed() {
    let mut run = Run::removed();
    let bob = run.bob;
    let id = run.say(
        bob,
        Content::Text {
            text: "still here".into(),
            reply_to: None,
        },
    );
    run.given().pop();
    run.passes();
    let bound = SENDS_REFUSED_WITHIN + secs(1);
    run.journal.attempts.get_mut(&id).expect("tried").at = secs(3) + bound;
    assert_eq!(run.broken(), "who was removed sends nothing more");
    // While the server is disturbed, the bound does not run.
    let span = Span {
        from: secs(4),
        to: secs(8),
    };
    run.journal.disturbed(span);
    run.passes();
}

#[test]
fn an_ack_without_a_quorum_is_found() {
    let mut run = Run::new();
    let gone = |from: u64, to: u64| Span {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
    };
    // The third message was handed over and acked at the third second.
    run.journal.without_quorum(gone(3_500, 3_900));
    run.passes();
    run.journal.without_quorum(gone(2_500, 3_500));
    assert_eq!(run.broken(), "without a quorum nothing is acknowledged");
}

#[test]
fn who_is_excused_may_end_early_and_nobody_else() {
    let mut run = Run::new();
    run.given().truncate(3);
    assert_eq!(run.broken(), EVERYTHING);
    assert!(!run.journal.all_reached(&run.conversation, 50));
    let (bob, conversation) = (run.bob, run.conversation);
    run.journal.excuses(bob, conversation);
    run.passes();
    assert!(run.journal.all_reached(&run.conversation, 50));
    run.given().remove(1);
    assert_eq!(run.broken(), EVERYTHING);
    run.journal.demands(bob, conversation);
    assert_eq!(run.broken(), EVERYTHING);
    let unknown = Receiver {
        device: "nobody".into(),
        conversation,
    };
    assert_eq!(run.journal.owner(&unknown), None);
}
