//! Tables: what is known, and what follows.

use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{FcmOs, PushRequest, PushTarget},
};
use rand::{SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use super::*;

const TTL: Duration = Duration::from_secs(24 * 3_600);
const DECIDED: u64 = 1_700_000_000_000;

fn conversation() -> Conversation {
    Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(1, 2))
}

fn message() -> PushJob {
    let notice = Notice::Message {
        conversation: conversation(),
        seq: 7,
        id: MessageId::generate(DECIDED),
        sent_at: DECIDED,
        title: "Ada".into(),
        body: None,
        badge: 1,
        mention: false,
    };
    PushJob::new(notice, DECIDED)
}

fn withdrawal() -> PushJob {
    let notice = Notice::Withdraw {
        conversation: conversation(),
        seq: 7,
        badge: 0,
    };
    PushJob::new(notice, DECIDED)
}

fn registration(silent: bool) -> PushRegistration {
    PushRegistration {
        id: Uuid::from_u128(1),
        request: PushRequest {
            target: PushTarget::Fcm {
                token: "t".into(),
                os: FcmOs::Android,
            },
            silent,
        },
        registered_at: 1,
    }
}

fn facts(registration: Option<&PushRegistration>) -> Facts<'_> {
    Facts {
        channel: Channel::Fcm,
        registration,
        replaced: false,
        read: 0,
        now_ms: DECIDED + 1_000,
        ttl: TTL,
    }
}

fn kind(due: &Due) -> &'static str {
    match due {
        Due::Send(_) => "send",
        Due::Drop(_) => "drop",
        Due::Read => "read",
        Due::GiveUp(_) => "give up",
    }
}

#[test]
fn what_is_known_decides_whether_it_is_sent() {
    let (silent, loud) = (registration(true), registration(false));
    let plain = facts(Some(&loud));
    let old = DECIDED + 24 * 3_600_000;
    let late = Facts { now_ms: old, ..plain };
    let elsewhere = Facts {
        channel: Channel::WebPush,
        ..plain
    };
    let replaced = Facts {
        replaced: true,
        ..plain
    };
    let read = |read| Facts { read, ..plain };
    let quiet = facts(Some(&silent));
    let quiet_late = Facts { now_ms: old, ..quiet };
    let table = [
        (message(), plain, "send"),
        (message(), quiet, "send"),
        (message(), facts(None), "drop"),
        (message(), elsewhere, "drop"),
        (message(), replaced, "drop"),
        (message(), read(6), "send"),
        (message(), read(7), "read"),
        (message(), read(8), "read"),
        (message(), late, "give up"),
        (message(), Facts { read: 7, ..late }, "read"),
        (
            message(),
            Facts {
                replaced: true,
                ..late
            },
            "drop",
        ),
        (withdrawal(), plain, "drop"),
        (withdrawal(), quiet, "send"),
        (withdrawal(), Facts { read: 9, ..quiet }, "send"),
        (withdrawal(), quiet_late, "drop"),
        (withdrawal(), facts(None), "drop"),
    ];
    for (number, (job, facts, expected)) in table.iter().enumerate() {
        assert_eq!(kind(&due(job, *facts)), *expected, "row {number}");
    }
    assert_eq!(due(&message(), plain), Due::Send(TTL - Duration::from_secs(1)));
    // The clock of whoever decided may be a little ahead.
    let ahead = Facts {
        now_ms: DECIDED - 500,
        ..plain
    };
    assert_eq!(due(&message(), ahead), Due::Send(TTL));
}

#[test]
fn an_outcome_decides_what_follows_for_the_push_and_its_origin() {
    let random = &mut StdRng::seed_from_u64(3);
    let detail = String::new;
    let hour = Duration::from_secs(3_600);
    let mut after = |outcome: &Outcome| next(outcome, 3, TTL, random);
    assert_eq!(
        after(&Outcome::Accepted { detail: detail() }),
        (Next::Accepted, Verdict::Answered)
    );
    assert_eq!(
        after(&Outcome::Gone { detail: detail() }),
        (Next::Unregister, Verdict::Answered)
    );
    assert_eq!(
        after(&Outcome::Refused { detail: detail() }),
        (Next::GiveUp, Verdict::Answered)
    );
    let later = |after, scope| Outcome::Later {
        after,
        scope,
        detail: detail(),
    };
    let (again, verdict) = after(&later(None, Scope::Origin));
    assert_eq!(verdict, Verdict::Failed { after: None });
    assert!(
        matches!(again, Next::Again(pause) if pause <= Duration::from_secs(8)),
        "{again:?}"
    );
    let (again, verdict) = after(&later(Some(hour * 5), Scope::Origin));
    assert_eq!(
        verdict,
        Verdict::Failed {
            after: Some(hour * 5)
        }
    );
    assert!(
        matches!(again, Next::Again(pause) if pause >= hour && pause < hour * 2),
        "{again:?}"
    );
    let (again, verdict) = after(&later(Some(hour), Scope::Device));
    assert_eq!(verdict, Verdict::Answered, "others of the origin need not wait");
    assert!(matches!(again, Next::Again(pause) if pause >= hour), "{again:?}");
    let (again, verdict) = after(&Outcome::Misconfigured { detail: detail() });
    assert_eq!(verdict, Verdict::Misconfigured);
    assert!(
        matches!(again, Next::Again(pause) if pause >= MISCONFIGURED_PAUSE),
        "{again:?}"
    );
}

#[test]
fn nothing_waits_beyond_its_end() {
    let random = &mut StdRng::seed_from_u64(3);
    let outcome = Outcome::Later {
        after: Some(Duration::from_secs(3_000)),
        scope: Scope::Origin,
        detail: String::new(),
    };
    let rest = Duration::from_secs(20);
    assert_eq!(next(&outcome, 50, rest, random).0, Next::Again(rest));
    let (end, _) = next(&outcome, 50, Duration::ZERO, random);
    assert_eq!(end, Next::Again(Duration::from_secs(1)));
}
