//! Where a client goes, and where it does not.

use rand::{SeedableRng as _, rngs::SmallRng};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(1)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn route(configured: &[&str]) -> Route {
    Route::new(texts(configured), true)
}

#[test]
fn without_discovery_the_configured_ones_take_turns() {
    let mut route = Route::new(texts(&["http://a", "http://b"]), false);
    assert!(!route.wants(Duration::ZERO));
    assert_eq!(route.current(), Some("http://a"));
    route.next();
    assert_eq!(route.current(), Some("http://b"));
    route.lost();
    assert_eq!(route.current(), Some("http://b"), "the one that worked is kept");
    assert!(!route.wants(100 * SECOND));
    route.next();
    assert_eq!(route.current(), Some("http://a"));
    // Names are not for whoever wants the given servers only.
    assert!(route.leave(SECOND, texts(&["http://c"])));
    assert_eq!(route.current(), Some("http://b"));
}

#[test]
fn what_was_found_comes_first_and_the_configured_ones_after_it() {
    let mut route = route(&["http://a", "http://b"]);
    assert!(route.wants(Duration::ZERO));
    route.answered(
        Duration::ZERO,
        Some(texts(&["http://c/", "http://b"])),
        &mut rng(),
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(route.current().expect("one").to_owned());
        route.next();
    }
    assert_eq!(seen, ["http://c", "http://b", "http://a", "http://c"]);
}

#[test]
fn an_answer_is_kept_for_a_while_and_asked_for_again_after_a_loss() {
    let mut route = route(&["http://a"]);
    route.answered(Duration::ZERO, Some(texts(&["http://a", "http://b"])), &mut rng());
    assert!(!route.wants(59 * SECOND));
    assert!(route.wants(90 * SECOND));
    route.lost();
    assert!(!route.wants(4 * SECOND), "a crowd that loses twice asks once");
    assert!(route.wants(5 * SECOND));
    // The edge may be dead and its lease may not have expired yet.
    route.answered(5 * SECOND, Some(texts(&["http://a", "http://b"])), &mut rng());
    assert_eq!(route.current(), Some("http://b"));
}

#[test]
fn the_next_one_in_turn_is_not_taken_for_the_one_that_was_lost() {
    let mut route = route(&["http://a"]);
    route.answered(Duration::ZERO, Some(texts(&["http://a", "http://b"])), &mut rng());
    route.next();
    assert_eq!(route.current(), Some("http://b"));
    route.answered(5 * SECOND, Some(texts(&["http://a", "http://b"])), &mut rng());
    assert_eq!(route.current(), Some("http://b"));
}

#[test]
fn if_nobody_answers_what_is_known_goes_on_to_be_used() {
    let mut route = route(&["http://a"]);
    route.answered(Duration::ZERO, None, &mut rng());
    assert_eq!(route.current(), Some("http://a"));
    assert!(!route.wants(4 * SECOND));
    assert!(route.wants(5 * SECOND), "asked again soon");
    route.answered(5 * SECOND, Some(texts(&["http://b"])), &mut rng());
    route.next();
    route.answered(10 * SECOND, None, &mut rng());
    assert_eq!(route.current(), Some("http://a"));
    route.next();
    assert_eq!(route.current(), Some("http://b"));
}

#[test]
fn an_edge_that_drains_is_left_for_another_one_if_there_is_one() {
    let mut only = route(&["http://a"]);
    only.answered(Duration::ZERO, Some(texts(&["http://a"])), &mut rng());
    assert!(!only.leave(SECOND, vec![]), "there is nowhere to go");
    assert_eq!(only.current(), Some("http://a"));
    assert!(only.wants(6 * SECOND), "somebody else may know");

    assert!(only.leave(SECOND, texts(&["http://b", "http://c"])));
    assert_eq!(only.current(), Some("http://b"));
    assert!(!only.wants(6 * SECOND), "it was told just now");
}

#[test]
fn nobody_is_led_where_the_configuration_does_not_lead() {
    let led = |configured: &[&str], edge: &str| {
        let mut route = route(configured);
        route.answered(Duration::ZERO, Some(texts(&[edge])), &mut rng());
        route.current() == Some(edge)
    };
    assert!(led(&["https://chat.example"], "https://edge-1.example"));
    assert!(!led(&["https://chat.example"], "http://edge-1.example"));
    assert!(led(&["http://chat.example"], "https://edge-1.example"));
    assert!(!led(&["http://chat.example"], "http://127.0.0.1:8080"));
    assert!(!led(&["http://chat.example"], "http://[::]:8080"));
    assert!(!led(&["http://chat.example"], "http://localhost:8080"));
    assert!(led(&["http://127.0.0.1:8080"], "http://127.0.0.1:8081"));
    assert!(led(&["http://localhost:8080"], "http://[::1]:8081"));
    for nonsense in ["", "edge-1", "ftp://edge-1.example", "http://"] {
        assert!(!led(&["http://chat.example"], nonsense), "{nonsense}");
    }
}

/// The answer comes anew after every attempt that takes long to fail, and names the dead first.
#[test]
fn the_dead_are_passed_over_however_often_they_are_named() {
    let mut route = route(&["http://x", "http://y"]);
    let (mut now, mut tried, mut rng) = (Duration::ZERO, Vec::new(), rng());
    for _ in 0..6 {
        if route.wants(now) {
            route.answered(now, Some(texts(&["http://a", "http://b", "http://c"])), &mut rng);
        }
        tried.push(route.current().expect("one").to_owned());
        route.next();
        now += 10 * SECOND;
    }
    assert_eq!(
        tried,
        [
            "http://a", "http://b", "http://c", "http://x", "http://y", "http://a"
        ]
    );
}

/// Edges that name nothing which may be followed leave the configured ones, one of which is dead.
#[test]
fn an_answer_without_names_does_not_lead_back_to_the_dead() {
    let mut route = route(&["http://a", "http://b"]);
    route.answered(Duration::ZERO, Some(texts(&["http://0.0.0.0:8080"])), &mut rng());
    assert_eq!(route.current(), Some("http://a"));
    route.next();
    assert!(route.wants(10 * SECOND));
    route.answered(10 * SECOND, Some(texts(&["http://0.0.0.0:8080"])), &mut rng());
    assert_eq!(route.current(), Some("http://b"));
    route.connected();
    route.lost();
    route.answered(20 * SECOND, Some(texts(&[])), &mut rng());
    assert_eq!(
        route.current(),
        Some("http://a"),
        "tried again after one that came to be"
    );
}
