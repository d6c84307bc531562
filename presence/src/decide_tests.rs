use natterjack_nats::wire::Privacy;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_000_000;
const GRACE: u64 = 3_000;

const fn entry(fate: Fate, age_ms: u64) -> Entry {
    Entry {
        fate,
        at_ms: NOW - age_ms,
    }
}

const fn open(active: bool, age_ms: u64) -> Entry {
    entry(Fate::Open { active }, age_ms)
}

const fn doubtful(active: bool, age_ms: u64) -> Entry {
    entry(Fate::Doubtful { active }, age_ms)
}

const fn closed(age_ms: u64) -> Entry {
    entry(Fate::Closed, age_ms)
}

const fn lost(age_ms: u64) -> Entry {
    entry(Fate::Lost, age_ms)
}

fn at(event_age_ms: u64) -> Moment {
    Moment {
        now_ms: NOW,
        event_ms: NOW - event_age_ms,
        grace_ms: GRACE,
    }
}

/// What it comes to: the state that is written, when it was seen last, when to look again.
type Outcome = (Option<PresenceState>, Option<u64>, Option<u64>);

#[test]
fn what_a_look_comes_to() {
    use PresenceState::{Away, Offline, Online};
    let nothing: Outcome = (None, None, None);
    let again = |ms| (None, None, Some(ms));
    let table: &[(&str, PresenceState, &[Entry], u64, Outcome)] = &[
        ("never there", Offline, &[], 0, nothing),
        (
            "connects",
            Offline,
            &[open(true, 10)],
            10,
            (Some(Online), None, None),
        ),
        (
            "connects in the background",
            Offline,
            &[open(false, 10)],
            10,
            (Some(Away), Some(1), None),
        ),
        (
            "comes to the foreground",
            Away,
            &[open(true, 10)],
            10,
            (Some(Online), None, None),
        ),
        ("stays", Online, &[open(true, 10)], 10, nothing),
        (
            "a second device",
            Online,
            &[open(true, 9_000), open(false, 10)],
            10,
            nothing,
        ),
        ("leaves just now", Online, &[closed(1_000)], 1_000, again(2_000)),
        (
            "left",
            Online,
            &[closed(3_000)],
            3_000,
            (Some(Offline), Some(NOW - 3_000), None),
        ),
        (
            "left from the background",
            Away,
            &[closed(3_000)],
            3_000,
            (Some(Offline), Some(1), None),
        ),
        (
            "to the background just now",
            Online,
            &[open(false, 500)],
            500,
            again(2_500),
        ),
        (
            "to the background",
            Online,
            &[open(false, 4_000)],
            4_000,
            (Some(Away), Some(NOW - 4_000), None),
        ),
        (
            "one of two leaves",
            Online,
            &[closed(5_000), open(true, 60_000)],
            5_000,
            nothing,
        ),
        (
            "the active one of two leaves",
            Online,
            &[closed(3_100), open(false, 60_000)],
            3_100,
            (Some(Away), Some(NOW - 3_100), None),
        ),
        (
            "the other left later",
            Online,
            &[closed(3_100), closed(600)],
            3_100,
            again(2_400),
        ),
        (
            "back by now",
            Online,
            &[closed(3_100), open(true, 100)],
            3_100,
            nothing,
        ),
        (
            "others come and go all the time",
            Online,
            &[closed(15_000), closed(100)],
            15_000,
            (Some(Offline), Some(NOW - 100), None),
        ),
        (
            "its edge is gone",
            Online,
            &[lost(7_000)],
            0,
            (Some(Offline), Some(NOW - 7_000), None),
        ),
        (
            "its edge is gone, heard of just now",
            Online,
            &[lost(10)],
            0,
            (Some(Offline), Some(NOW - 10), None),
        ),
        (
            "one edge of two is gone",
            Online,
            &[lost(7_000), open(true, 50_000)],
            0,
            nothing,
        ),
        (
            "one edge of two is gone, background on the other",
            Online,
            &[lost(7_000), open(false, 50_000)],
            0,
            (Some(Away), Some(NOW - 7_000), None),
        ),
        (
            "an edge is gone after the user left it for good",
            Online,
            &[lost(7_000), closed(1_000)],
            0,
            again(2_000),
        ),
        (
            "no lease yet",
            Offline,
            &[doubtful(true, 10)],
            10,
            again(DOUBT_MS),
        ),
        (
            "no lease any more, perhaps",
            Online,
            &[doubtful(true, 90_000)],
            0,
            again(DOUBT_MS),
        ),
        (
            "perhaps away, surely not online",
            Online,
            &[doubtful(false, 90_000)],
            0,
            (Some(Away), Some(NOW - 90_000), Some(DOUBT_MS)),
        ),
        (
            "up as far as is sure",
            Offline,
            &[doubtful(true, 10), open(false, 20)],
            10,
            (Some(Away), Some(1), Some(DOUBT_MS)),
        ),
        (
            "nothing is left of how it ended",
            Online,
            &[],
            0,
            (Some(Offline), Some(NOW), None),
        ),
    ];
    for (name, state, entries, event_age_ms, expected) in table {
        let record = PresenceRecord {
            state: *state,
            since: 1,
            last_seen: (*state != Online).then_some(1),
            privacy: Privacy::Contacts,
        };
        let moment = if *event_age_ms == 0 {
            Moment { event_ms: 0, ..at(0) }
        } else {
            at(*event_age_ms)
        };
        let decision = decide(&record, entries, moment);
        let written = decision.write;
        let outcome = (
            written.map(|record| record.state),
            written.and_then(|record| record.last_seen),
            decision.again_ms,
        );
        assert_eq!(outcome, *expected, "{name}");
        assert!(
            written.is_none_or(|record| record.privacy == Privacy::Contacts),
            "{name}"
        );
    }
}

fn any_state() -> impl Strategy<Value = PresenceState> {
    prop_oneof![
        Just(PresenceState::Offline),
        Just(PresenceState::Away),
        Just(PresenceState::Online)
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let fate = prop_oneof![
        any::<bool>().prop_map(|active| Fate::Open { active }),
        any::<bool>().prop_map(|active| Fate::Doubtful { active }),
        Just(Fate::Closed),
        Just(Fate::Lost),
    ];
    (fate, 0..20_000_u64).prop_map(|(fate, age_ms)| entry(fate, age_ms))
}

proptest! {
    #[test]
    fn what_always_holds(
        state in any_state(),
        last_seen in proptest::option::of(0..NOW),
        entries in proptest::collection::vec(any_entry(), 0..6),
        event_age_ms in 1..20_000_u64,
    ) {
        let last_seen = last_seen.filter(|_| state != PresenceState::Online);
        let record = PresenceRecord { state, since: 5, last_seen, privacy: Privacy::Nobody };
        let moment = at(event_age_ms);
        let decision = decide(&record, &entries, moment);
        let level = |sure: bool| entries.iter().fold(PresenceState::Offline, |level, entry| match entry.fate {
            Fate::Open { active } => level.max(super::state(active)),
            Fate::Doubtful { active } if !sure => level.max(super::state(active)),
            _ => level,
        });
        let (sure, possible) = (level(true), level(false));
        let doubt = entries.iter().any(|entry| matches!(entry.fate, Fate::Doubtful { .. }));
        if let Some(next) = decision.write {
            // Never beyond what is known, and never a write that changes nothing.
            prop_assert!(next.state == sure && next.state > state || next.state == possible && next.state < state);
            prop_assert_eq!(next.privacy, record.privacy);
            prop_assert_eq!(next.last_seen.is_none(), next.state == PresenceState::Online || (state != PresenceState::Online && last_seen.is_none()));
            prop_assert!(next.since >= record.since && next.since <= NOW);
            // What was written settles it: the same look again writes nothing.
            prop_assert_eq!(decide(&next, &entries, moment).write, None);
        } else {
            prop_assert!(state >= sure);
            if state > possible {
                let ended = entries.iter().filter(|entry| !matches!(entry.fate, Fate::Lost | Fate::Open { active: true } | Fate::Doubtful { active: true }));
                prop_assert!(ended.map(|entry| NOW - entry.at_ms).min().is_some_and(|age_ms| age_ms < GRACE));
                prop_assert!(decision.again_ms.is_some_and(|again_ms| again_ms > 0 && again_ms <= GRACE));
            }
        }
        if doubt {
            prop_assert!(decision.again_ms.is_some());
        }
        // Time settles whatever is not in doubt.
        let later = Moment { now_ms: NOW + GRACE, ..moment };
        let settled = decide(&record, &entries, later);
        prop_assert!(doubt || settled.again_ms.is_none());
        prop_assert!(doubt || settled.write.map_or(state, |next| next.state) == sure);
    }
}
