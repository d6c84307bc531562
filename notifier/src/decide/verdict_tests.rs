//! The table of decisions, and what holds for all of them.

use proptest::prelude::*;

use super::*;

const GRACE_MS: u64 = 5_000;
const TTL_MS: u64 = 86_400_000;

const fn aged(age_ms: u64) -> Moment {
    Moment {
        age_ms,
        grace_ms: GRACE_MS,
        ttl_ms: TTL_MS,
    }
}

const FIRST: Moment = aged(GRACE_MS);
const LAST: Moment = aged(2 * GRACE_MS);

fn device(number: u128) -> DeviceId {
    DeviceId::from_parts(1, number)
}

/// Devices as letters, numbered from 1: `p` is in the background or away, `a` is in the foreground; a capital
/// was told already.
fn targets(letters: &str) -> Vec<Target> {
    let numbered = letters.chars().zip(1..);
    numbered
        .map(|(letter, number)| Target {
            device: device(number),
            active: letter.eq_ignore_ascii_case(&'a'),
            told: letter.is_ascii_uppercase(),
        })
        .collect()
}

const PLAIN: Standing = Standing {
    own: false,
    joined_later: false,
    read: false,
    confirmed: false,
    delivered: false,
    deleted: false,
    muted: false,
};
const DELIVERED: Standing = Standing {
    delivered: true,
    ..PLAIN
};

const MUTED: Standing = Standing { muted: true, ..PLAIN };

#[derive(Debug, Clone, Copy)]
enum Connected {
    No,
    Background,
    Foreground,
}
use Connected::{Background, Foreground, No};

/// What is known, when, who is connected, devices → why, pushed, nudged, looked at again.
type Row = (
    &'static str,
    Standing,
    Moment,
    Connected,
    &'static str,
    PushReason,
    &'static [u128],
    bool,
    bool,
);

#[test]
fn the_table() {
    use PushReason::{Muted, NotRegistered, Nudged, Queued, Unconfirmed};
    #[rustfmt::skip]
    let table: &[Row] = &[
        ("offline, one phone",            PLAIN,     FIRST, No,         "p",   Unconfirmed,   &[1],       false, false),
        ("offline, two phones",           PLAIN,     FIRST, No,         "pp",  Unconfirmed,   &[1, 2],    false, false),
        ("offline, no registration",      PLAIN,     FIRST, No,         "",    NotRegistered, &[],        false, false),
        ("connected, no registration",    PLAIN,     FIRST, Foreground, "",    NotRegistered, &[],        true,  false),
        ("background app that has it",    DELIVERED, FIRST, Background, "p",   Unconfirmed,   &[1],       false, false),
        ("background app that lacks it",  PLAIN,     FIRST, Background, "p",   Unconfirmed,   &[1],       true,  false),
        ("phone in the foreground",       PLAIN,     FIRST, Foreground, "a",   Nudged,        &[],        true,  true),
        ("… which did not answer",        PLAIN,     LAST,  Foreground, "a",   Unconfirmed,   &[1],       true,  false),
        ("desk in the foreground, phone", PLAIN,     FIRST, Foreground, "ap",  Nudged,        &[2],       true,  true),
        ("… which did not answer",        PLAIN,     LAST,  Foreground, "aP",  Unconfirmed,   &[1],       true,  false),
        ("unregistered desk, phone",      PLAIN,     FIRST, Foreground, "p",   Unconfirmed,   &[1],       true,  false),
        ("phone has it, desk does not say", DELIVERED, FIRST, Foreground, "ap", Nudged,       &[2],       true,  true),
        ("… for long",                    DELIVERED, LAST,  Foreground, "aP",  Unconfirmed,   &[1],       false, false),
        ("muted, and away",               MUTED,     FIRST, No,         "p",   Muted,         &[],        false, false),
        ("muted, and lacks it",           MUTED,     FIRST, Foreground, "ap",  Muted,         &[],        true,  false),
        ("decided before",                PLAIN,     FIRST, No,         "P",   Queued,        &[],        false, false),
        ("half decided before",           PLAIN,     FIRST, No,         "Pp",  Unconfirmed,   &[2],       false, false),
        ("foreground, told by another",   PLAIN,     FIRST, Foreground, "A",   Queued,        &[],        true,  false),
        ("seen late for the first time",  PLAIN,     aged(60_000), Foreground, "ap", Unconfirmed, &[1, 2], true, false),
        ("at the very end",               PLAIN,     aged(TTL_MS), No,  "p",   Unconfirmed,   &[1],       false, false),
    ];
    for (what, standing, moment, connected, devices, reason, push, nudge, again) in table {
        let sessions = match connected {
            No => (false, false),
            Background => (true, false),
            Foreground => (true, true),
        };
        let decision = decide(standing, *moment, sessions, &targets(devices));
        let expected = Decision {
            reason: *reason,
            push: push.iter().copied().map(device).collect(),
            nudge: *nudge,
            again: *again,
        };
        assert_eq!(decision, expected, "{what}");
    }
}

#[test]
fn what_shuts_the_gate() {
    use PushReason::{Confirmed, Deleted, JoinedLater, Own, Read, TooOld};
    #[rustfmt::skip]
    let table = [
        (Standing { own: true, ..PLAIN },                         FIRST, Some(Own)),
        (Standing { own: true, read: true, ..PLAIN },             FIRST, Some(Own)),
        (Standing { joined_later: true, ..PLAIN },                FIRST, Some(JoinedLater)),
        (Standing { read: true, confirmed: true, ..PLAIN },       FIRST, Some(Read)),
        (Standing { confirmed: true, delivered: true, ..PLAIN },  FIRST, Some(Confirmed)),
        (Standing { confirmed: true, muted: true, ..PLAIN },      FIRST, Some(Confirmed)),
        (Standing { deleted: true, ..PLAIN },                     LAST,  Some(Deleted)),
        (PLAIN,                                                   aged(TTL_MS + 1), Some(TooOld)),
        (PLAIN,                                                   FIRST, None),
        (DELIVERED,                                               LAST,  None),
    ];
    for (standing, moment, reason) in table {
        assert_eq!(gate(&standing, moment), reason, "{standing:?}");
        if let Some(reason) = reason {
            let decision = decide(&standing, moment, (true, true), &targets("ap"));
            assert_eq!(decision.reason, reason);
            assert!(decision.push.is_empty() && !decision.nudge && !decision.again);
        }
    }
}

fn any_standing() -> impl Strategy<Value = Standing> {
    proptest::array::uniform7(prop::bool::weighted(0.1)).prop_map(
        |[own, joined_later, read, confirmed, delivered, deleted, muted]| Standing {
            own,
            joined_later,
            read,
            confirmed,
            delivered,
            deleted,
            muted,
        },
    )
}

proptest! {
    /// Whoever looks, and how often: after the last look each registered device was told exactly once, or
    /// the gate is shut.
    #[test]
    fn every_device_is_told_once(
        standing in any_standing(),
        devices in proptest::collection::vec(any::<(bool, bool)>(), 0..6),
        ages in proptest::collection::vec(GRACE_MS..4 * GRACE_MS, 0..6),
    ) {
        let mut ages = ages;
        ages.sort_unstable();
        ages.push(4 * GRACE_MS);
        let mut targets: Vec<Target> = devices
            .iter()
            .zip(1..)
            .map(|((active, told), number)| Target { device: device(number), active: *active, told: *told })
            .collect();
        let active = targets.iter().any(|target| target.active);
        let mut told: Vec<DeviceId> = Vec::new();
        for age_ms in ages {
            let decision = decide(&standing, aged(age_ms), (active, active), &targets);
            for device in decision.push {
                prop_assert!(!told.contains(&device), "pushed twice");
                let target = targets.iter_mut().find(|target| target.device == device).expect("one of them");
                prop_assert!(!target.told, "pushed although it was told");
                prop_assert!(!target.active || age_ms >= 2 * GRACE_MS, "the second grace was not waited for");
                target.told = true;
                told.push(device);
            }
            let open = targets.iter().any(|target| !target.told);
            let shut = standing.muted || gate(&standing, aged(age_ms)).is_some();
            prop_assert_eq!(decision.again, open && !shut, "what is open is looked at again, and nothing else");
        }
        let shut = standing.muted || gate(&standing, LAST).is_some();
        prop_assert!(shut || targets.iter().all(|target| target.told), "one was forgotten");
        prop_assert!(!shut || told.is_empty(), "pushed although the gate is shut");
    }

    /// Who does not lack it, or is not there, is not nudged.
    #[test]
    fn a_nudge_is_for_who_is_connected_and_unconfirmed(
        standing in any_standing(), connected: bool, active: bool, age_ms in GRACE_MS..4 * GRACE_MS,
    ) {
        let active = active && connected;
        let decision = decide(&standing, aged(age_ms), (connected, active), &[]);
        if decision.nudge {
            prop_assert!(connected && gate(&standing, aged(age_ms)).is_none());
        }
        if connected && !standing.delivered && gate(&standing, aged(age_ms)).is_none() {
            prop_assert!(decision.nudge, "neither confirmed nor repaired");
        }
    }
}
