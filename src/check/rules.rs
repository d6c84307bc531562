//! The promises, one function each.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use natterjack_nats::{
    Conversation, MessageId,
    wire::{Kind, Message},
};

use super::journal::{Journal, Receiver, Stretch};

/// A broken promise: which, where, and what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// What happened.
    pub what: String,
    /// The history around it.
    pub around: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken: {}\n{}", self.promise, self.what)?;
        self.around.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Violation {}

/// What was checked, when nothing was broken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that were acknowledged.
    pub acked: usize,
    /// Messages in history that nobody got an ack for; allowed, since an ack can be lost.
    pub unacked_stored: usize,
    /// Messages in history.
    pub stored: usize,
    /// Deliveries to devices.
    pub delivered: usize,
    /// Devices times conversations.
    pub receivers: usize,
}

/// Compares the record of a run with the history at its end, whole and ascending, of each
/// conversation.
///
/// # Errors
/// The first [`Violation`].
pub fn check(
    journal: &Journal,
    history: &BTreeMap<Conversation, Vec<Message>>,
) -> Result<Summary, Violation> {
    for (conversation, messages) in history {
        chain_is_whole(conversation, messages)?;
        stored_once(messages)?;
        nothing_invented(journal, messages)?;
    }
    one_ack_per_message(journal)?;
    acked_is_stored(journal, history)?;
    for (receiver, stretch) in &journal.deliveries {
        let messages = history.get(&receiver.conversation).map_or(&[][..], Vec::as_slice);
        given_in_order_without_hole(receiver, stretch, messages)?;
    }
    let stored = history.values().map(Vec::len).sum();
    let texts = history
        .values()
        .flatten()
        .filter(|message| journal.attempts.contains_key(&message.id))
        .count();
    Ok(Summary {
        acked: journal.acks.len(),
        unacked_stored: texts - journal.acks.len(),
        stored,
        delivered: journal
            .deliveries
            .values()
            .map(|stretch| stretch.given.len())
            .sum(),
        receivers: journal.deliveries.len(),
    })
}

fn chain_is_whole(conversation: &Conversation, messages: &[Message]) -> Result<(), Violation> {
    let mut prev = 0;
    for (index, message) in messages.iter().enumerate() {
        let named = message.prev == prev && message.seq > prev && message.conversation == *conversation;
        if !named {
            let what = format!(
                "message {} names {} as its predecessor, which is {prev}",
                message.seq, message.prev
            );
            return Err(violation(
                "every message names its predecessor",
                what,
                messages,
                index,
            ));
        }
        prev = message.seq;
    }
    Ok(())
}

fn stored_once(messages: &[Message]) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        if message.kind != Kind::Duplicate && !seen.insert((message.sender, message.id)) {
            let what = format!("{} of {} stands in history twice", message.id, message.sender);
            return Err(violation(
                "a message is stored exactly once",
                what,
                messages,
                index,
            ));
        }
    }
    Ok(())
}

fn nothing_invented(journal: &Journal, messages: &[Message]) -> Result<(), Violation> {
    for (index, message) in messages.iter().enumerate() {
        if matches!(message.kind, Kind::Event | Kind::Duplicate) {
            continue;
        }
        let attempt = journal.attempts.get(&message.id);
        let same = attempt.is_some_and(|attempt| {
            let untouched = message.edited.is_none() && message.deleted.is_none();
            attempt.sender == message.sender
                && attempt.conversation == message.conversation
                && (!untouched || attempt.text == message.text)
        });
        if !same {
            let what = format!(
                "{} of {} was never sent like that: {attempt:?}",
                message.id, message.sender
            );
            return Err(violation("nothing is invented", what, messages, index));
        }
    }
    Ok(())
}

fn one_ack_per_message(journal: &Journal) -> Result<(), Violation> {
    journal.second_acks.first().map_or(Ok(()), |(id, first, second)| {
        Err(Violation {
            promise: "a retry gets the first ack again",
            what: format!("{id} was acknowledged as {first} and as {second}"),
            around: Vec::new(),
        })
    })
}

fn acked_is_stored(
    journal: &Journal,
    history: &BTreeMap<Conversation, Vec<Message>>,
) -> Result<(), Violation> {
    const PROMISE: &str = "an acknowledged message is stored where the ack said";
    for (id, seq) in &journal.acks {
        let conversation = journal.attempts.get(id).map(|attempt| attempt.conversation);
        let messages = conversation
            .and_then(|conversation| history.get(&conversation))
            .map_or(&[][..], Vec::as_slice);
        let index = messages.partition_point(|message| message.seq < *seq);
        if messages
            .get(index)
            .is_none_or(|message| message.seq != *seq || message.id != *id)
        {
            let what = format!("{id} was acknowledged as {seq} in {conversation:?} and is not there");
            return Err(violation(PROMISE, what, messages, index));
        }
    }
    Ok(())
}

fn given_in_order_without_hole(
    receiver: &Receiver,
    stretch: &Stretch,
    messages: &[Message],
) -> Result<(), Violation> {
    const PROMISE: &str = "every receiver is given everything, once, in the one order";
    let until = stretch.until.unwrap_or(u64::MAX);
    let first = messages.partition_point(|message| message.seq <= stretch.after);
    let end = messages.partition_point(|message| message.seq <= until);
    let due = &messages[first..end.max(first)];
    let mut given = stretch.given.iter();
    for (offset, message) in due.iter().enumerate() {
        let next: Option<(u64, MessageId)> = given.next().map(|delivery| (delivery.seq, delivery.id));
        if next != Some((message.seq, message.id)) {
            let what = format!(
                "{} in {} was to be given {} next and got {next:?}; it was given {} of {} messages after {}",
                receiver.device,
                receiver.conversation,
                message.seq,
                stretch.given.len(),
                due.len(),
                stretch.after,
            );
            return Err(violation(PROMISE, what, messages, first + offset));
        }
    }
    // What came beyond `until` is right as long as it is real and in order.
    let mut rest = messages[end.max(first)..].iter();
    for delivery in given {
        if !rest.any(|message| (message.seq, message.id) == (delivery.seq, delivery.id)) {
            let what = format!(
                "{} was given {delivery:?}, which is not in history there",
                receiver.device
            );
            return Err(violation(PROMISE, what, messages, messages.len()));
        }
    }
    Ok(())
}

fn violation(promise: &'static str, what: String, messages: &[Message], index: usize) -> Violation {
    let from = index.saturating_sub(3);
    let to = (index + 4).min(messages.len());
    let around = messages[from.min(to)..to]
        .iter()
        .map(|m| {
            format!(
                "seq {} prev {} {:?} {} of {}",
                m.seq, m.prev, m.kind, m.id, m.sender
            )
        })
        .collect();
    Violation {
        promise,
        what,
        around,
    }
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{
        UserId,
        headers::Position,
        wire::{Content, Stored},
    };

    use super::{super::journal::Attempt, *};

    /// A run in which all went well: five messages, one receiver.
    struct Run {
        journal: Journal,
        history: BTreeMap<Conversation, Vec<Message>>,
        conversation: Conversation,
    }

    impl Run {
        fn new() -> Self {
            let (alice, bob) = (UserId::from_parts(1, 1), UserId::from_parts(2, 2));
            let conversation = Conversation::dm(alice, bob);
            let mut journal = Journal::new();
            let mut messages: Vec<Message> = Vec::new();
            for n in 1..=5_u64 {
                let (id, text) = (MessageId::generate(n), format!("text {n}"));
                let attempt = Attempt {
                    sender: alice,
                    conversation,
                    text: Some(text.clone()),
                };
                journal.attempted(id, attempt);
                let content = Content::Text { text, reply_to: None };
                let position = Position {
                    seq: n * 10,
                    prev: messages.last().map_or(0, |last| last.seq),
                };
                let message = Stored::new(conversation, id, alice, n, content).at(position);
                journal.acked(id, message.seq);
                journal.delivered("bob's phone", &message);
                messages.push(message);
            }
            Self {
                journal,
                history: BTreeMap::from([(conversation, messages)]),
                conversation,
            }
        }

        fn messages(&mut self) -> &mut Vec<Message> {
            self.history
                .get_mut(&self.conversation)
                .expect("the only conversation")
        }

        fn given(&mut self) -> &mut Stretch {
            self.journal
                .deliveries
                .values_mut()
                .next()
                .expect("the only receiver")
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
        assert_eq!(
            summary,
            Summary {
                acked: 5,
                unacked_stored: 0,
                stored: 5,
                delivered: 5,
                receivers: 1
            }
        );
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
        run.journal.acked(id, 11);
        assert_eq!(run.broken(), "a retry gets the first ack again");
    }

    #[test]
    fn an_invented_or_altered_message_is_found() {
        let mut run = Run::new();
        run.messages()[3].text = Some("something else".into());
        assert_eq!(run.broken(), "nothing is invented");
        run = Run::new();
        run.messages()[3].id = MessageId::generate(77);
        assert_eq!(run.broken(), "nothing is invented");
    }

    #[test]
    fn a_hole_a_swap_and_a_repeat_in_what_a_receiver_got_are_found() {
        const PROMISE: &str = "every receiver is given everything, once, in the one order";
        let mut run = Run::new();
        run.given().given.remove(1);
        assert_eq!(run.broken(), PROMISE);
        run = Run::new();
        run.given().given.swap(1, 2);
        assert_eq!(run.broken(), PROMISE);
        run = Run::new();
        let repeated = run.given().given[4];
        run.given().given.push(repeated);
        assert_eq!(run.broken(), PROMISE);
        run = Run::new();
        run.given().given.pop();
        assert_eq!(run.broken(), PROMISE);
    }

    #[test]
    fn a_receiver_owes_nothing_outside_its_stretch() {
        let mut run = Run::new();
        run.given().given.remove(0);
        run.given().given.pop();
        (run.given().after, run.given().until) = (10, Some(40));
        assert!(check(&run.journal, &run.history).is_ok());
        assert!(run.journal.all_reached(&run.conversation, 50));
    }
}
