//! The book comes in line with the bucket whatever happens, and never by more writes than needed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(n: u64) -> Key {
    (UserId::from_parts(n, 1), DeviceId::from_parts(n, 2))
}

fn put(epoch: u64, active: bool, since: u64) -> Change {
    Change::Put(DeviceSession { epoch, active, since })
}

/// Writes all that is to be written, well; answers what that was.
fn drain(book: &mut Book) -> Vec<Change> {
    let mut changes = vec![];
    while let Some((key, change)) = book.next() {
        changes.push(change);
        book.wrote(key, change, true);
        book.rested(key);
    }
    changes
}

#[test]
fn sockets_of_a_device_are_one_entry_active_if_one_of_them_is() {
    let mut book = Book::default();
    book.begin_epoch(1);
    assert!(book.enter(key(1), false, 10));
    assert!(!book.enter(key(1), true, 11), "it waits already");
    assert_eq!(drain(&mut book), [put(1, true, 10)]);
    book.leave(key(1), true);
    assert_eq!(drain(&mut book), [put(1, false, 10)]);
    book.turn(key(1), true);
    book.turn(key(1), false);
    assert_eq!(drain(&mut book), [], "nothing came of it");
    book.leave(key(1), false);
    assert_eq!(drain(&mut book), [Change::Purge]);
    assert!(book.is_empty());
}

#[test]
fn who_comes_and_goes_before_it_was_written_is_never_written() {
    let mut book = Book::default();
    book.enter(key(1), true, 10);
    book.leave(key(1), true);
    assert_eq!(drain(&mut book), []);
    assert!(book.is_empty());
}

#[test]
fn one_write_of_a_key_is_under_way_and_it_rests_then() {
    let mut book = Book::default();
    book.enter(key(1), true, 10);
    let (_, first) = book.next().expect("new");
    assert!(!book.turn(key(1), false));
    assert_eq!(book.next(), None, "in order");
    book.wrote(key(1), first, true);
    assert_eq!(book.next(), None, "it rests");
    assert!(book.rested(key(1)));
    assert_eq!(drain(&mut book), [put(0, false, 10)]);
}

#[test]
fn a_write_whose_outcome_is_not_known_is_made_again() {
    let mut book = Book::default();
    book.enter(key(1), true, 10);
    let (_, first) = book.next().expect("new");
    book.wrote(key(1), first, false);
    assert_eq!(drain(&mut book), [first]);
    book.leave(key(1), true);
    let (_, purge) = book.next().expect("gone");
    book.wrote(key(1), purge, false);
    assert!(!book.is_empty());
    // Back before the purge was known to be done.
    book.enter(key(1), true, 20);
    assert_eq!(drain(&mut book), [put(0, true, 20)]);
}

#[test]
fn a_new_epoch_writes_all_again_even_what_was_under_way() {
    let mut book = Book::default();
    book.begin_epoch(1);
    book.enter(key(1), true, 10);
    book.enter(key(2), false, 10);
    let (_, first) = book.next().expect("new");
    book.begin_epoch(2);
    book.wrote(key(1), first, true);
    book.rested(key(1));
    let mut changes = drain(&mut book);
    changes.sort_by_key(|change| *change == put(2, true, 10));
    assert_eq!(changes, [put(2, false, 10), put(2, true, 10)]);
}

#[test]
fn a_comparison_purges_what_is_left_over_and_writes_what_is_missing() {
    let mut book = Book::default();
    book.begin_epoch(5);
    for n in 1..=3 {
        book.enter(key(n), true, 10);
    }
    drain(&mut book);
    let session = DeviceSession {
        epoch: 5,
        active: true,
        since: 10,
    };
    book.begin_round();
    book.found(key(1), Some(session));
    book.found(key(2), Some(DeviceSession { epoch: 4, ..session }));
    book.found(key(9), Some(session));
    book.end_round();
    let changes = drain(&mut book);
    assert_eq!(changes, [put(5, true, 10), Change::Purge, put(5, true, 10)]);
    assert_eq!(book.len(), 3);
}

#[test]
fn a_comparison_finds_what_is_left_of_one_who_came_and_went() {
    let mut book = Book::default();
    book.enter(key(1), true, 10);
    book.leave(key(1), true);
    book.begin_round();
    book.found(key(1), None);
    book.end_round();
    assert_eq!(drain(&mut book), [Change::Purge]);
}

#[derive(Debug, Clone)]
enum Act {
    Enter(u64, bool),
    Leave(u64),
    Turn(u64),
    Write,
    /// The write is stored, but nobody knows.
    Lose,
    /// The write is not stored, and nobody knows.
    Fail,
    Epoch,
    /// Somebody takes a key away, or leaves one.
    Disturb(u64, bool),
}

fn any_act() -> impl Strategy<Value = Act> {
    let key = 0..4_u64;
    prop_oneof![
        3 => (key.clone(), any::<bool>()).prop_map(|(n, active)| Act::Enter(n, active)),
        3 => key.clone().prop_map(Act::Leave),
        2 => key.clone().prop_map(Act::Turn),
        3 => Just(Act::Write),
        1 => Just(Act::Lose),
        1 => Just(Act::Fail),
        1 => Just(Act::Epoch),
        1 => (key, any::<bool>()).prop_map(|(n, there)| Act::Disturb(n, there)),
    ]
}

proptest! {
    #[test]
    fn after_a_comparison_the_bucket_says_what_is(acts in prop::collection::vec(any_act(), 0..80)) {
        let mut book = Book::default();
        let mut bucket: BTreeMap<Key, DeviceSession> = BTreeMap::new();
        let mut sockets: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
        let apply = |bucket: &mut BTreeMap<Key, DeviceSession>, key, change| match change {
            Change::Put(session) => drop(bucket.insert(key, session)),
            Change::Purge => drop(bucket.remove(&key)),
        };
        let mut epoch = 1;
        book.begin_epoch(epoch);
        for (now_ms, act) in (0..).zip(&acts) {
            match act {
                Act::Enter(n, active) => {
                    book.enter(key(*n), *active, now_ms);
                    sockets.entry(*n).or_default().push(*active);
                }
                Act::Leave(n) => if let Some(active) = sockets.entry(*n).or_default().pop() {
                    book.leave(key(*n), active);
                },
                Act::Turn(n) => if let Some(active) = sockets.entry(*n).or_default().last_mut() {
                    *active = !*active;
                    book.turn(key(*n), *active);
                },
                Act::Write | Act::Lose | Act::Fail => if let Some((key, change)) = book.next() {
                    if !matches!(act, Act::Fail) {
                        apply(&mut bucket, key, change);
                    }
                    book.wrote(key, change, matches!(act, Act::Write));
                    book.rested(key);
                },
                Act::Epoch => {
                    epoch += 1;
                    book.begin_epoch(epoch);
                }
                Act::Disturb(n, there) => if *there {
                    bucket.insert(key(*n), DeviceSession { epoch: 0, active: true, since: 0 });
                } else {
                    bucket.remove(&key(*n));
                },
            }
        }
        book.begin_round();
        for (key, session) in bucket.clone() {
            book.found(key, Some(session));
        }
        book.end_round();
        while let Some((key, change)) = book.next() {
            apply(&mut bucket, key, change);
            book.wrote(key, change, true);
            book.rested(key);
        }
        sockets.retain(|_, sockets| !sockets.is_empty());
        let wanted: Vec<_> = sockets.iter().map(|(n, sockets)| (key(*n), epoch, sockets.contains(&true))).collect();
        let stored: Vec<_> = bucket.iter().map(|(key, session)| (*key, session.epoch, session.active)).collect();
        prop_assert_eq!(stored, wanted);
        prop_assert_eq!(book.len(), sockets.len());
    }
}
