//! The session's rules, and that nothing a client sends breaks them.

use natterjack_nats::{
    DeviceId, EdgeId, MessageId, SessionId, Shards, UserId, services::conversations::Session, wire::Profile,
};
use proptest::prelude::*;

use super::*;

const INTERVAL_MS: u64 = 25_000;
const EXPIRES_MS: u64 = 1_000_000;

fn machine() -> Machine {
    let config = Config {
        session: SessionId::from_parts(1, 1),
        edge: EdgeId::from_parts(1, 1),
        shards: Shards::new(4).expect("in range"),
        ping_interval_ms: INTERVAL_MS,
        hello_timeout_ms: 10_000,
        sends_in_flight: 3,
        typing_interval_ms: 2_000,
    };
    Machine::new(config, 5_000)
}

fn now(ms: u64) -> Now {
    Now {
        session_ms: ms,
        unix_ms: ms,
    }
}

fn identity(device: u64) -> Identity {
    Identity {
        user: UserId::from_parts(1, 1),
        device: DeviceId::from_parts(device, 1),
        expires_at_ms: EXPIRES_MS,
        issued_at_ms: 0,
    }
}

fn says(machine: &mut Machine, text: &str) -> Vec<Effect> {
    let mut out = vec![];
    machine.text(text, now(0), &mut out);
    out
}

fn session() -> Session {
    Session {
        user: Profile {
            id: identity(1).user,
            handle: None,
            name: "me".into(),
        },
        groups: vec![],
        group_members_max: 100,
        watermarks: vec![0; 4],
        log_head: 0,
        conversations: vec![],
        next: None,
        behind: vec![],
        behind_complete: true,
    }
}

fn live() -> Machine {
    let mut machine = machine();
    let effects = says(&mut machine, r#"{"type":"hello","token":"t","resume":{}}"#);
    assert!(matches!(effects[..], [Effect::Authenticate { .. }]));
    let mut out = vec![];
    machine.authenticated(Ok(identity(1)), &mut out);
    assert!(matches!(out[..], [Effect::Open { .. }]), "{out:?}");
    out.clear();
    machine.opened(Ok(session()), now(1), &mut out);
    assert!(
        matches!(
            out[..],
            [
                Effect::Write(ServerFrame::Ready(_)),
                Effect::Write(ServerFrame::Resumed { complete: true }),
                Effect::Live { active: true }
            ]
        ),
        "{out:?}"
    );
    machine
}

fn draining() -> Draining {
    Draining {
        edges: vec!["https://edge-2.example.com".into()],
        within_ms: 4_000,
        after_ms: 2_000,
    }
}

fn close_code(effects: &[Effect]) -> Option<u16> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close(code) => Some(code.code()),
        _ => None,
    })
}

fn error_code(effects: &[Effect]) -> Option<Code> {
    effects.iter().find_map(|effect| match effect {
        Effect::Write(ServerFrame::Error { error, .. }) => Some(error.code),
        _ => None,
    })
}

#[test]
fn before_hello_anything_else_closes_with_the_reason() {
    for text in [r#"{"type":"ping"}"#, "garbage", r#"{"type":"dance"}"#, ""] {
        let effects = says(&mut machine(), text);
        assert!(error_code(&effects).is_some(), "{text}");
        assert_eq!(close_code(&effects), Some(3501), "{text}");
    }
    let mut out = vec![];
    machine().tick(now(10_000), &mut out);
    assert_eq!(close_code(&out), Some(3501));
}

#[test]
fn a_bad_token_is_told_apart_only_by_what_the_client_can_do() {
    for (code, closed) in [
        (Code::Unauthorized, 3500),
        (Code::TokenExpired, 3005),
        (Code::Revoked, 3503),
        (Code::Unavailable, 3013),
    ] {
        let mut machine = machine();
        says(&mut machine, r#"{"type":"hello","token":"t"}"#);
        let mut out = vec![];
        machine.authenticated(Err(WireError::new(code, "no")), &mut out);
        assert_eq!((error_code(&out), close_code(&out)), (Some(code), Some(closed)));
    }
}

#[test]
fn a_second_hello_is_an_error_and_no_more() {
    let mut machine = live();
    let effects = says(&mut machine, r#"{"type":"hello","token":"t"}"#);
    assert_eq!(error_code(&effects), Some(Code::BadRequest));
    assert_eq!(close_code(&effects), None);
}

#[test]
fn unknown_types_are_ignored_for_ever_and_garbage_is_not() {
    let mut machine = live();
    for _ in 0..100 {
        let effects = says(&mut machine, r#"{"type":"dance","id":"1"}"#);
        assert_eq!(
            (error_code(&effects), close_code(&effects)),
            (Some(Code::UnknownType), None)
        );
    }
    for _ in 1..BAD_FRAMES_MAX {
        assert_eq!(close_code(&says(&mut machine, "{")), None);
    }
    assert_eq!(close_code(&says(&mut machine, "{")), Some(3501));
}

#[test]
fn reading_pauses_while_enough_sends_are_under_way() {
    let mut machine = live();
    let id = MessageId::generate(0);
    let user = identity(1).user;
    let send = format!(r#"{{"type":"send","id":"{id}","conversation":"dm.{user}.{user}","text":"a"}}"#);
    for left in (0..3).rev() {
        assert!(matches!(says(&mut machine, &send)[..], [Effect::Store(_)]));
        assert_eq!(machine.reads(), left > 0);
    }
    let mut out = vec![];
    machine.drain(draining(), now(10), &mut out);
    assert!(matches!(
        out[..],
        [Effect::Write(ServerFrame::Draining { within_ms: 4_000, .. })]
    ));
    out.clear();
    machine.tick(now(2_010), &mut out);
    assert_eq!(out, [], "its sends are answered first");
    for seq in 1..=3 {
        machine.stored(id, Ok(seq), &mut out);
    }
    assert!(matches!(
        out[..],
        [
            Effect::Write(_),
            Effect::Write(_),
            Effect::Write(_),
            Effect::Close(CloseCode::Shutdown)
        ]
    ));
}

#[test]
fn a_session_goes_at_its_own_moment_and_works_until_then() {
    let mut machine = live();
    let mut out = vec![];
    machine.drain(draining(), now(1_000), &mut out);
    assert_eq!((out.len(), close_code(&out)), (1, None), "{out:?}");
    assert!(machine.reads());
    assert_eq!(machine.due_in_ms(now(1_000)), 2_000);
    out.clear();
    machine.tick(now(2_999), &mut out);
    assert_eq!(out, []);
    machine.tick(now(3_000), &mut out);
    assert_eq!(close_code(&out), Some(3001));
}

#[test]
fn whoever_is_not_in_yet_is_told_where_to_go_at_once() {
    let mut opening = machine();
    says(&mut opening, r#"{"type":"hello","token":"t"}"#);
    for mut machine in [machine(), opening] {
        let mut out = vec![];
        machine.drain(draining(), now(10), &mut out);
        assert!(
            matches!(
                &out[..],
                [
                    Effect::Write(ServerFrame::Draining { edges, .. }),
                    Effect::Close(CloseCode::Shutdown)
                ] if edges.len() == 1
            ),
            "{out:?}"
        );
    }
}

#[test]
fn foreground_and_background_are_told_when_they_change() {
    let mut machine = machine();
    says(&mut machine, r#"{"type":"hello","token":"t","active":false}"#);
    let mut out = vec![];
    machine.authenticated(Ok(identity(1)), &mut out);
    machine.opened(Ok(session()), now(1), &mut out);
    assert_eq!(out.last(), Some(&Effect::Live { active: false }));
    let active = r#"{"type":"active","active":true}"#;
    assert_eq!(says(&mut machine, active), [Effect::Active(true)]);
    assert_eq!(says(&mut machine, active), []);
}

#[test]
fn silence_and_expiry_close_and_a_token_in_time_keeps_open() {
    let mut machine = live();
    let mut out = vec![];
    machine.tick(now(5_000), &mut out);
    assert_eq!(out, [Effect::Ping]);
    machine.heard(now(5_001));
    out.clear();
    machine.tick(now(INTERVAL_MS), &mut out);
    assert_eq!(out, []);
    machine.tick(now(5_001 + INTERVAL_MS * 3 / 2), &mut out);
    assert_eq!(close_code(&out), Some(3012));

    let mut machine = live();
    let (mut out, mut early) = (vec![], identity(1));
    machine.renewed("1".into(), Ok(identity(2)), &mut out);
    assert_eq!(error_code(&out), Some(Code::Unauthorized));
    early.expires_at_ms = 2 * EXPIRES_MS;
    machine.renewed("1".into(), Ok(early), &mut out);
    let tick = |machine: &mut Machine, ms| {
        let mut out = vec![];
        machine.heard(now(ms));
        machine.tick(now(ms), &mut out);
        close_code(&out)
    };
    assert_eq!(tick(&mut machine, EXPIRES_MS), None);
    assert_eq!(tick(&mut machine, 2 * EXPIRES_MS), Some(3005));
}

#[test]
fn the_actor_never_sleeps_past_what_is_due_nor_spins() {
    let mut machine = live();
    let mut ms = 0;
    for _ in 0..1_000 {
        machine.heard(now(ms));
        let mut out = vec![];
        machine.tick(now(ms), &mut out);
        if close_code(&out).is_some() {
            assert!(ms >= EXPIRES_MS);
            return;
        }
        let due_ms = machine.due_in_ms(now(ms));
        assert!((1..=INTERVAL_MS).contains(&due_ms), "{due_ms}");
        ms += due_ms;
    }
    panic!("the token expires");
}

fn any_text() -> impl Strategy<Value = String> {
    let user = identity(1).user;
    prop_oneof![
        "\\PC{0,40}",
        Just(r#"{"type":"hello","token":"t"}"#.to_owned()),
        Just(r#"{"type":"ping","id":"1"}"#.to_owned()),
        Just(r#"{"type":"active","active":false}"#.to_owned()),
        Just(r#"{"type":"conversations","id":"1"}"#.to_owned()),
        Just(format!(
            r#"{{"type":"receipt","conversation":"user.{user}","read":5}}"#
        )),
        Just(format!(
            r#"{{"type":"typing","conversation":"dm.{user}.{user}"}}"#
        )),
        Just(format!(
            r#"{{"type":"history","id":"1","conversation":"dm.{user}.{user}"}}"#
        )),
        "[a-z]{1,8}".prop_map(|name| format!(r#"{{"type":"{name}"}}"#)),
    ]
}

proptest! {
    #[test]
    fn nothing_follows_a_close_and_what_is_under_way_is_bounded(
        texts in prop::collection::vec(any_text(), 0..60), opens: bool,
    ) {
        let mut machine = if opens { live() } else { machine() };
        let mut under_way = 0;
        for text in texts {
            if !machine.reads() {
                break;
            }
            let effects = says(&mut machine, &text);
            if let Some(at) = effects.iter().position(|effect| matches!(effect, Effect::Close(_))) {
                prop_assert_eq!(at + 1, effects.len());
                prop_assert!(!machine.reads());
            }
            under_way += effects.iter().filter(|effect| !matches!(effect, Effect::Write(_) | Effect::Close(_))).count();
        }
        prop_assert!(under_way <= 3 + PAGES_MAX + SIGNALS_MAX);
    }
}
