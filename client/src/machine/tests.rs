//! The machine against a model of a server, over a network that loses, repeats and breaks.

use std::time::Duration;

use natterjack_nats::wire::{ClientFrame, Code, ServerFrame, WireError};
use proptest::prelude::*;

use super::{Command, Input, Output};
use crate::{
    error::StopReason,
    event::Event,
    token::{AccessToken, TokenError},
};

#[path = "../../fuzz/machine.rs"]
mod fuzz;
mod moving;
mod server;
mod world;

use world::{Fate, Mood, World};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Somebody else writes; what becomes of the live frame.
    Store(usize, Fate),
    /// The application sends.
    Send(usize),
    /// The server works off so many of the client's frames.
    Serve(usize, Mood),
    /// So many of the server's frames arrive.
    Deliver(usize),
    /// The connection breaks, or the server closes it with a code that invites back.
    Cut(Option<u16>),
    /// The edge says that it drains, and which other there is.
    Drain(bool),
    /// The application shows so many people.
    Watch(u64),
    /// Nobody has confirmed the last message of a conversation.
    Nudge(usize),
    Pass(u64),
}

fn play(world: &mut World, step: Step) {
    match step {
        Step::Store(conversation, fate) => world.store(conversation, fate),
        Step::Send(conversation) => world.send(conversation),
        Step::Serve(count, mood) => world.serve(count, mood),
        Step::Deliver(count) => world.deliver(count),
        Step::Cut(code) => world.cut(code),
        Step::Drain(other) => world.drain(other),
        Step::Watch(count) => world.watch(count),
        Step::Nudge(conversation) => world.nudge(conversation),
        Step::Pass(ms) => world.pass(Duration::from_millis(ms)),
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        6 => Just(Fate::Delivered), 2 => Just(Fate::Dropped), 1 => Just(Fate::Twice), 1 => Just(Fate::Forgot)
    ];
    let mood = prop_oneof![5 => Just(Mood::Good), 1 => Just(Mood::AckLost), 1 => Just(Mood::Overloaded)];
    let code = prop_oneof![Just(None), Just(Some(3001)), Just(Some(3005)), Just(Some(3008))];
    prop_oneof![
        4 => (0..3_usize, fate).prop_map(|(conversation, fate)| Step::Store(conversation, fate)),
        3 => (0..3_usize).prop_map(Step::Send),
        5 => (1..5_usize, mood).prop_map(|(count, mood)| Step::Serve(count, mood)),
        5 => (1..8_usize).prop_map(Step::Deliver),
        1 => code.prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Drain),
        1 => (0..4_u64).prop_map(Step::Watch),
        2 => (0..3_usize).prop_map(Step::Nudge),
        2 => (1..40_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_is_lost_repeated_or_reordered(
        steps in prop::collection::vec(any_step(), 1..150), resumes: bool, pipeline in 1..5_usize, seed: u64,
    ) {
        let mut world = World::new(resumes, pipeline, seed);
        for step in steps {
            play(&mut world, step);
        }
        world.settle();
        world.check(pipeline == 1);
    }
}

fn refused(code: Code) -> WireError {
    WireError::new(code, "no")
}

fn stop_reason(outputs: &[Output]) -> Option<&StopReason> {
    outputs.iter().find_map(|output| match output {
        Output::Emit(Event::Stopped(reason)) => Some(reason),
        _ => None,
    })
}

#[test]
fn a_final_close_code_ends_it_with_the_servers_words() {
    let mut world = World::new(false, 1, 1);
    world.settle();
    world.send(0);
    let error = refused(Code::Revoked);
    world.input(Input::Frame(ServerFrame::Error {
        id: None,
        error: error.clone(),
    }));
    let reason = "revoked".to_owned();
    let outputs = world.input(Input::Lost {
        code: Some(3503),
        reason: reason.clone(),
    });
    let expected = StopReason::Refused {
        code: 3503,
        reason,
        error: Some(error),
    };
    assert_eq!(stop_reason(&outputs), Some(&expected));
    let failed = |output: &Output| matches!(output, Output::Emit(Event::SendFailed { .. }));
    assert!(outputs.iter().any(failed), "the message in the outbox fails");
    assert_eq!(world.machine.deadline(), None);
}

#[test]
fn without_a_token_to_be_had_it_ends() {
    let mut world = World::new(false, 1, 2);
    let error = refused(Code::Unauthorized);
    let outputs = world.input(Input::Token(Err(TokenError::Refused(error.clone()))));
    assert_eq!(stop_reason(&outputs), Some(&StopReason::Token(error)));
}

#[test]
fn an_expired_token_is_renewed_before_the_next_attempt() {
    let mut world = World::new(false, 1, 3);
    world.settle();
    world.cut(Some(3005));
    let until = world.machine.deadline().expect("a time to come back");
    world.now = until;
    let outputs = world.machine.input(until, Input::Tick);
    assert!(matches!(outputs[..], [Output::FetchToken { fresh: true }]));
}

#[test]
fn a_token_is_renewed_in_band_before_it_ends() {
    let mut world = World::new(false, 1, 4);
    world.settle();
    let refreshes = world.tokens_fetched;
    // The model's tokens live for 900 s; the lead is a minute.
    while world.tokens_fetched == refreshes {
        assert!(world.now < Duration::from_secs(860), "renewed too late");
        world.keep_alive();
    }
    assert!(world.now >= Duration::from_secs(840), "renewed too early");
    world.settle();
    assert_eq!(world.connections, 1);
    assert_eq!(world.tokens_taken_in_band, 1);
}

#[test]
fn a_token_that_expired_on_its_way_is_no_reason_to_end() {
    let mut world = World::new(false, 1, 4);
    world.settle();
    let token = AccessToken {
        token: "old".into(),
        expires_at: None,
    };
    let outputs = world.machine.input(world.now, Input::Token(Ok(token)));
    let id = outputs.iter().find_map(|output| match output {
        Output::Send(ClientFrame::Token { id, .. }) => Some(id.clone()),
        _ => None,
    });
    let frame = ServerFrame::Error {
        id,
        error: refused(Code::TokenExpired),
    };
    let outputs = world.machine.input(world.now, Input::Frame(frame));
    assert_eq!(stop_reason(&outputs), None);
    let mut outputs = vec![];
    while outputs.is_empty() {
        world.now = world.machine.deadline().expect("something is due");
        outputs = world.machine.input(world.now, Input::Tick);
    }
    assert!(matches!(outputs[..], [Output::FetchToken { fresh: true }]));
}

#[test]
fn silence_is_a_broken_connection() {
    let mut world = World::new(false, 1, 5);
    world.settle();
    let silence_until = world.now + Duration::from_secs(60);
    while world.now < silence_until && world.connections == 1 {
        world.tick_next();
    }
    assert_eq!(world.connections, 2);
}

#[test]
fn a_text_beyond_the_limit_fails_here_and_never_leaves() {
    let mut world = World::new(false, 1, 6);
    world.settle();
    let outputs = world.send_text(0, "x".repeat(world::TEXT_CHARS_MAX + 1));
    let failed = |output: &Output| matches!(output, Output::Emit(Event::SendFailed { .. }));
    assert!(outputs.iter().any(failed));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Send(_))));
    let outputs = world.send_text(0, "ü".repeat(world::TEXT_CHARS_MAX));
    assert!(outputs.iter().any(|output| matches!(output, Output::Send(_))));
}

#[test]
fn a_stopped_machine_answers_and_asks_nothing_of_the_world() {
    let mut world = World::new(false, 1, 7);
    world.settle();
    world.input(Input::Command(Command::Close));
    let token = AccessToken {
        token: "late".to_owned(),
        expires_at: None,
    };
    assert!(world.input(Input::Token(Ok(token))).is_empty());
    assert!(world.input(Input::Tick).is_empty());
    let outputs = world.send_text(0, "late".to_owned());
    assert!(matches!(
        outputs[..],
        [Output::Emit(Event::SendFailed { .. }), Output::Release { .. }]
    ));
}

/// Found by the fuzzer: an answer of another kind took the question away, and nobody was told.
#[test]
fn an_answer_of_another_kind_is_none() {
    let mut world = World::new(false, 1, 8);
    world.settle();
    let (ticket, page) = (7, None);
    let outputs = world.input(Input::Command(Command::Conversations { ticket, page }));
    let id = outputs.iter().find_map(|output| match output {
        Output::Send(ClientFrame::Conversations { id, .. }) => Some(id.clone()),
        _ => None,
    });
    let id = id.expect("it is asked");
    let answered = |outputs: &[Output]| {
        outputs
            .iter()
            .any(|output| matches!(output, Output::Answer { ticket: 7, .. }))
    };
    let wrong = ServerFrame::Ok { id: id.clone() };
    assert!(!answered(&world.input(Input::Frame(wrong))));
    let (conversations, next) = (vec![], None);
    let right = ServerFrame::Conversations {
        id,
        conversations,
        next,
    };
    assert!(answered(&world.input(Input::Frame(right))));
}

fn receipts(outputs: &[Output]) -> Vec<(Option<u64>, Option<u64>)> {
    let receipt = |output: &Output| match output {
        Output::Send(ClientFrame::Receipt { delivered, read, .. }) => Some((*delivered, *read)),
        _ => None,
    };
    outputs.iter().filter_map(receipt).collect()
}

/// All that a machine says until `within` from now.
fn said_within(world: &mut World, within: Duration) -> Vec<Output> {
    let (until, mut said) = (world.now + within, vec![]);
    while let Some(due) = world.machine.deadline().filter(|due| *due <= until) {
        world.now = world.now.max(due);
        said.extend(world.input(Input::Tick));
    }
    said
}

#[test]
fn who_is_nudged_says_again_what_has_arrived() {
    let mut world = World::new(false, 1, 9);
    world.store(0, Fate::Delivered);
    world.settle();
    world.store(0, Fate::Delivered);
    world.deliver(1);
    let second = Duration::from_secs(1);
    assert_eq!(receipts(&said_within(&mut world, second)), [(Some(2), None)]);
    for _ in 0..3 {
        world.nudge(0);
        world.deliver(1);
    }
    let said = said_within(&mut world, second);
    assert_eq!(receipts(&said), [(Some(2), None)], "a flood is answered once");
    let asks = |output: &Output| matches!(output, Output::Send(ClientFrame::History { .. }));
    assert!(!said.iter().any(asks));
}

#[test]
fn a_lost_last_message_is_asked_for_by_who_is_nudged_and_then_confirmed() {
    let mut world = World::new(false, 1, 10);
    world.store(0, Fate::Delivered);
    world.settle();
    let connections = world.connections;
    world.store(0, Fate::Dropped);
    for _ in 0..100 {
        world.nudge(0);
    }
    let head = world.seq;
    let before = world.to_server.len();
    world.deliver(usize::MAX);
    assert_eq!(world.to_server.len(), before + 1, "one question for all");
    world.serve(1, Mood::Good);
    world.deliver(usize::MAX);
    assert_eq!(world.shown.get(&world::conversation(0)), Some(&head));
    let said = said_within(&mut world, Duration::from_secs(1));
    assert_eq!(receipts(&said), [(Some(head), None)]);
    assert_eq!(world.connections, connections);
}

#[test]
fn an_application_that_confirms_by_itself_is_told_of_a_nudge() {
    let mut world = World::new(false, 1, 11);
    world.store(0, Fate::Delivered);
    world.settle();
    world.machine.settings.confirm_delivery = false;
    let (conversation, head) = (world::conversation(0), world.seq);
    let outputs = world.input(Input::Frame(ServerFrame::Nudge { conversation, head }));
    let told = Event::Nudged {
        conversation,
        delivered: head,
    };
    assert!(matches!(&outputs[..], [Output::Emit(event)] if *event == told));
    let said = said_within(&mut world, Duration::from_secs(1));
    assert_eq!(receipts(&said), []);
}
