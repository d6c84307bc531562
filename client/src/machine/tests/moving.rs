//! Going to another edge: when one drains, shuts down or is lost; and who is watched meanwhile.

use std::time::Duration;

use natterjack_nats::wire::{ClientFrame, Code, ServerFrame, WireError};

use super::world::{Mood, World};
use crate::{
    event::Event,
    machine::{Command, Input, Output},
};

fn connected(seed: u64) -> World {
    let mut world = World::new(false, 4, seed);
    world.edges = Some(vec!["http://a".to_owned(), "http://b".to_owned()]);
    world.settle();
    world
}

/// Lets the drain's frame arrive, and so much time pass.
fn told(world: &mut World, names_another: bool, ms: u64) {
    world.drain(names_another);
    world.deliver(usize::MAX);
    world.pass(Duration::from_millis(ms));
}

#[test]
fn an_edge_that_drains_is_left_for_the_one_that_it_names() {
    let mut world = connected(1);
    told(&mut world, true, 5_000);
    assert_eq!((world.connections, world.server.as_str()), (2, "http://c"));
    world.settle();
    world.check(true);
}

#[test]
fn sends_that_are_open_get_their_answers_first_and_later_ones_wait_for_the_next_edge() {
    let mut world = connected(2);
    world.send(0);
    told(&mut world, true, 10_000);
    assert_eq!(world.connections, 1, "one send is open");
    world.send(0);
    world.send(1);
    let texts = |world: &World| {
        let sent = |frame: &&ClientFrame| matches!(frame, ClientFrame::Send { .. });
        world.to_server.iter().filter(sent).count()
    };
    assert_eq!(texts(&world), 1, "nothing new leaves");
    world.serve(usize::MAX, Mood::Good);
    assert_eq!(world.connections, 1);
    world.deliver(usize::MAX);
    assert_eq!((world.connections, world.server.as_str()), (2, "http://c"));
    world.settle();
    world.check(true);
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let mut world = connected(3);
    world.send(0);
    told(&mut world, true, 0);
    let until = world.now + Duration::from_secs(31);
    while world.now < until && world.connections == 1 {
        world.input(Input::Heard);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.connections, 2);
    world.settle();
    world.check(true);
}

#[test]
fn if_the_edge_closes_first_the_way_is_known_and_there_is_no_pause() {
    let mut world = connected(4);
    world.send(0);
    told(&mut world, true, 0);
    let before = world.now;
    world.cut(Some(3001));
    assert_eq!((world.connections, world.now), (2, before));
    assert_eq!(world.server, "http://c");
    world.settle();
    world.check(true);
}

#[test]
fn with_nowhere_to_go_one_stays_until_the_end() {
    let mut world = World::new(false, 1, 5);
    world.edges = None;
    world.settle();
    // The model is configured with two servers; what discovery does not know, the configuration does.
    told(&mut world, false, 5_000);
    assert_eq!((world.connections, world.server.as_str()), (2, "http://b"));
}

#[test]
fn a_shutdown_without_a_word_leads_to_the_next_one() {
    let mut world = connected(6);
    assert_eq!(world.server, "http://a");
    world.edges = Some(vec!["http://b".to_owned(), "http://a".to_owned()]);
    world.cut(Some(3001));
    world.pass(Duration::from_secs(1));
    assert_eq!((world.connections, world.server.as_str()), (2, "http://b"));
}

#[test]
fn who_is_sent_on_again_and_again_pauses() {
    let mut world = connected(7);
    told(&mut world, true, 5_000);
    world.serve(usize::MAX, Mood::Good);
    world.deliver(usize::MAX);
    assert_eq!(world.connections, 2);
    let drains = ServerFrame::Draining {
        edges: vec!["http://d".to_owned()],
        within_ms: 0,
    };
    let outputs = world.input(Input::Frame(drains));
    let pauses = |output: &Output| matches!(output, Output::Emit(Event::Disconnected { .. }));
    assert!(outputs.iter().any(pauses), "{outputs:?}");
    world.pass(Duration::from_secs(1));
    assert_eq!((world.connections, world.server.as_str()), (3, "http://d"));
}

#[test]
fn the_people_who_are_shown_are_watched_on_every_connection() {
    let mut world = connected(8);
    world.watch(3);
    world.serve(usize::MAX, Mood::Good);
    assert_eq!(world.watched.as_ref().map(Vec::len), Some(3));
    world.watch(3);
    assert!(world.to_server.is_empty(), "the same people are no news");
    world.cut(None);
    world.pass(Duration::from_secs(1));
    world.serve(usize::MAX, Mood::Good);
    world.deliver(usize::MAX);
    world.serve(usize::MAX, Mood::Good);
    assert_eq!(world.watched.as_ref().map(Vec::len), Some(3));
    world.watch(0);
    world.settle();
    world.check(true);
}

#[test]
fn if_the_server_cannot_tell_who_is_there_it_is_asked_again() {
    let mut world = connected(9);
    world.watch(1);
    let refuse = |world: &mut World, code| {
        let id = world.to_server.drain(..).find_map(|frame| match frame {
            ClientFrame::Watch { id, .. } => Some(id),
            _ => None,
        });
        let error = WireError::new(code, "no");
        world.input(Input::Frame(ServerFrame::Error { id, error }))
    };
    refuse(&mut world, Code::Unavailable);
    world.pass(Duration::from_secs(5));
    let outputs = refuse(&mut world, Code::BadRequest);
    let told = |output: &Output| matches!(output, Output::Emit(Event::Error(_)));
    assert!(outputs.iter().any(told), "what cannot succeed is told");
    world.pass(Duration::from_secs(20));
    assert!(world.to_server.is_empty(), "and not tried again");
}

#[test]
fn who_leaves_the_foreground_while_a_connection_opens_says_so_once_it_is_open() {
    let mut world = World::new(true, 1, 3);
    let said_hello = |world: &World| {
        let is_hello = |frame: &ClientFrame| matches!(frame, ClientFrame::Hello(hello) if hello.active);
        world.to_server.iter().any(is_hello)
    };
    while !said_hello(&world) {
        world.tick_next();
    }
    world.input(Input::Command(Command::Active(false)));
    world.serve(1, Mood::Good);
    world.deliver(1);
    let told = |frame: &ClientFrame| matches!(frame, ClientFrame::Active { active: false });
    assert_eq!(world.to_server.iter().filter(|frame| told(frame)).count(), 1);
}
