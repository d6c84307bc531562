//! The promises, a function each: what the record and the push service say against them.

use std::collections::{BTreeMap, BTreeSet};

use natterjack::fleet::Taken;
use natterjack_nats::{Conversation, wire::Notice};

use super::{
    GRACE,
    people::{Cast, Kind},
    record::{Place, Record},
};

/// A receipt counts as in time if it was stored so long before the decision at least: the notifier hears of
/// it a moment later.
const HEARD_WITHIN_MS: u64 = 500;

/// What devices were told of each conversation: messages, by device.
pub fn told(taken: &[Taken]) -> BTreeMap<(&str, Conversation), Vec<u64>> {
    let mut told = BTreeMap::<_, Vec<u64>>::new();
    for taken in taken {
        if let Notice::Message {
            conversation, seq, ..
        } = taken.notice
        {
            told.entry((taken.phone.as_str(), conversation))
                .or_default()
                .push(seq);
        }
    }
    told
}

/// Each device of who has not confirmed a message in the foreground is told of it, or of a later one of its
/// conversation, at least once. What was not.
pub fn missing(record: &Record, cast: &Cast, taken: &[Taken]) -> Vec<String> {
    let told = told(taken);
    let mut missing = Vec::new();
    for (place, text) in &record.texts {
        for person in cast.listeners(&place.0, text.sender) {
            if record.confirmed_at_ms(*place, person.user).is_some() {
                continue;
            }
            for phone in &person.phones {
                let told = told.get(&(phone.as_str(), place.0));
                if !told.is_some_and(|told| told.iter().any(|seq| *seq >= place.1)) {
                    missing.push(format!("{phone} ({:?}) is not told of {place:?}", person.kind));
                }
            }
        }
    }
    missing
}

/// What a device in the foreground confirmed in time is told to no device of that user, and nobody is told
/// what nobody said to them. What was.
pub fn needless(record: &Record, cast: &Cast, taken: &[Taken]) -> Vec<String> {
    let mut needless = Vec::new();
    let grace_ms = u64::try_from(GRACE.as_millis()).unwrap();
    for ((phone, conversation), seqs) in told(taken) {
        let (user, _) = cast.devices[phone];
        for seq in seqs {
            let place: Place = (conversation, seq);
            let Some(text) = record.texts.get(&place) else {
                needless.push(format!("{phone} is told of {place:?}, which nobody said"));
                continue;
            };
            if !cast
                .listeners(&conversation, text.sender)
                .iter()
                .any(|person| person.user == user)
            {
                needless.push(format!("{phone} is told of {place:?}, which is not theirs"));
            }
            let due_ms = text.stored_at_ms + grace_ms;
            if let Some(at_ms) = record.confirmed_at_ms(place, user)
                && at_ms + HEARD_WITHIN_MS <= due_ms
            {
                needless.push(format!(
                    "{phone} is told of {place:?}, confirmed {} ms before it was due",
                    due_ms - at_ms
                ));
            }
        }
    }
    needless
}

/// Messages that a device was told of more than once, and when: in the order of the first time.
pub fn doubles(taken: &[Taken]) -> Vec<(String, Place, Vec<u64>)> {
    let mut times = BTreeMap::<_, Vec<u64>>::new();
    for taken in taken {
        if let Notice::Message {
            conversation, seq, ..
        } = taken.notice
        {
            let of = (taken.phone.clone(), (conversation, seq));
            times.entry(of).or_default().push(taken.at_ms);
        }
    }
    let twice = times.into_iter().filter(|(_, times)| times.len() > 1);
    let mut twice: Vec<_> = twice
        .map(|((phone, place), times)| (phone, place, times))
        .collect();
    twice.sort_by_key(|(_, _, times)| times[0]);
    twice
}

/// All pushes of one conversation to one device carry one topic, and those of another one another: the
/// screen shows one of each. What is otherwise.
pub fn visible(taken: &[Taken]) -> Vec<String> {
    let mut topics = BTreeMap::<(&str, Conversation), BTreeSet<&str>>::new();
    for taken in taken {
        let place = (taken.phone.as_str(), *taken.notice.conversation());
        topics.entry(place).or_default().insert(&taken.topic);
    }
    let mut owners = BTreeMap::new();
    let mut wrong = Vec::new();
    for ((phone, conversation), topics) in &topics {
        if topics.len() != 1 {
            wrong.push(format!("{phone} in {conversation}: the topics {topics:?}"));
        }
        for topic in topics {
            if let Some(other) = owners.insert((*phone, *topic), *conversation) {
                wrong.push(format!("{phone}: {conversation} and {other} share {topic:?}"));
            }
        }
    }
    wrong
}

/// The text of a push is the message's. What is otherwise.
pub fn garbled(record: &Record, taken: &[Taken]) -> Vec<String> {
    let mut garbled = Vec::new();
    for taken in taken {
        if let Notice::Message {
            conversation,
            seq,
            body,
            ..
        } = &taken.notice
            && let Some(text) = record.texts.get(&(*conversation, *seq))
            && !body.as_deref().is_some_and(|body| body.ends_with(&text.text))
        {
            garbled.push(format!("{body:?} instead of {:?}", text.text));
        }
    }
    garbled
}

/// How many of each kind were told something: a run in which a kind was told nothing, or those in the
/// foreground as much as the others, shows little.
pub fn shares(cast: &Cast, taken: &[Taken]) -> BTreeMap<Kind, usize> {
    let mut shares = BTreeMap::new();
    for taken in taken {
        let (user, _) = cast.devices[&taken.phone];
        if let Some(person) = cast.people.iter().find(|person| person.user == user) {
            *shares.entry(person.kind).or_default() += 1;
        }
    }
    shares
}
