//! Who is named, who is not, and in which order.

use std::collections::HashSet;

use super::*;

fn edge(number: u128) -> EdgeId {
    EdgeId::from_parts(1, number)
}

fn lease(region: &str, connections: u32) -> Lease {
    Lease {
        instance: uuid::Uuid::nil(),
        epoch: 1,
        region: region.into(),
        url: format!("http://{region}-{connections}"),
        connections,
        connections_max: 1_000,
        version: "natterjack test".into(),
        draining: false,
        started_at: 1,
    }
}

/// A source of numbers that the test chooses.
fn always(number: u64) -> impl FnMut(u64) -> u64 {
    move |below| number.min(below - 1)
}

fn ids(ranked: Option<Vec<EdgeInfo>>) -> Vec<EdgeId> {
    ranked
        .expect("something was heard")
        .iter()
        .map(|info| info.id)
        .collect()
}

fn of(region: &str) -> Wanted<'_> {
    Wanted {
        region: Some(region),
        except: None,
    }
}

#[test]
fn the_region_comes_first_then_the_load_and_those_without_room_last() {
    let (mut known, now) = (Known::default(), Instant::now());
    known.hear(edge(1), lease("eu", 800), 1, now);
    known.hear(edge(2), lease("eu", 100), 2, now);
    known.hear(edge(3), lease("us", 0), 3, now);
    known.hear(edge(4), lease("eu", 1_000), 4, now);
    let ranked = |wanted: &Wanted<'_>| ids(known.ranked(wanted, now, always(0)));
    assert_eq!(ranked(&of("eu")), [edge(2), edge(1), edge(3), edge(4)]);
    assert_eq!(ranked(&of("us")), [edge(3), edge(2), edge(1), edge(4)]);
    assert_eq!(ranked(&of("asia")), [edge(3), edge(2), edge(1), edge(4)]);
    assert_eq!(ranked(&Wanted::default()), [edge(3), edge(2), edge(1), edge(4)]);
    let except = Wanted {
        except: Some(edge(2)),
        ..of("eu")
    };
    assert_eq!(ranked(&except), [edge(1), edge(3), edge(4)]);
}

#[test]
fn about_equal_loads_share_whoever_asks() {
    let (mut known, now) = (Known::default(), Instant::now());
    for (number, connections) in [(1, 100), (2, 120), (3, 90), (4, 400)] {
        known.hear(edge(number), lease("eu", connections), 1, now);
    }
    let ask = || ids(known.ranked(&of("eu"), now, super::super::random));
    let first: HashSet<_> = (0..1_000).map(|_| ask()[0]).collect();
    assert_eq!(first, HashSet::from([edge(1), edge(2), edge(3)]));
    assert!((0..100).all(|_| ask()[3] == edge(4)));
}

#[test]
fn who_drains_or_has_gone_is_not_named() {
    let (mut known, now) = (Known::default(), Instant::now());
    let draining = Lease {
        draining: true,
        ..lease("eu", 0)
    };
    known.hear(edge(1), lease("eu", 1), 1, now);
    known.hear(edge(2), lease("eu", 2), 2, now);
    known.hear(edge(1), draining, 3, now);
    assert_eq!(ids(known.ranked(&of("eu"), now, always(0))), [edge(2)]);
    known.gone(edge(2), now);
    assert_eq!(
        known.ranked(&of("eu"), now, always(0)),
        Some(Vec::new()),
        "that nobody takes connections is known"
    );
}

#[test]
fn a_lease_counts_from_when_it_was_heard_and_not_again_when_it_is_read_again() {
    let (mut known, start) = (Known::default(), Instant::now());
    assert_eq!(
        known.ranked(&of("eu"), start, always(0)),
        None,
        "nothing heard yet"
    );
    known.hear(edge(1), lease("eu", 1), 1, start);
    let later = start + TTL / 2;
    known.hear(edge(2), lease("eu", 2), 2, later);
    known.hear(edge(1), lease("eu", 1), 1, later);
    let ranked = |known: &Known, at| known.ranked(&of("eu"), at, always(0)).map(|named| named.len());
    assert_eq!(ranked(&known, start + TTL - Duration::from_millis(1)), Some(2));
    assert_eq!(ranked(&known, start + TTL), Some(1), "the first has expired");
    assert_eq!(
        ranked(&known, later + TTL),
        None,
        "nothing was heard for too long"
    );
    known.hear(edge(3), lease("eu", 3), 3, later + TTL);
    assert_eq!(ranked(&known, later + TTL), Some(1));
    assert_eq!(known.edges.len(), 1, "what expired is forgotten");
}

#[test]
fn only_so_many_are_named() {
    let (mut known, now) = (Known::default(), Instant::now());
    for number in 0..100 {
        known.hear(edge(number), lease("eu", 1), 1, now);
    }
    assert_eq!(
        ids(known.ranked(&of("eu"), now, super::super::random)).len(),
        EDGES_NAMED_MAX
    );
}

#[test]
fn an_edge_for_no_connections_is_full() {
    let none = Lease {
        connections_max: 0,
        ..lease("eu", 0)
    };
    assert_eq!(load(&none), 100);
    assert_eq!(load(&lease("eu", 999)), 99, "there is room for one");
    assert_eq!(load(&lease("eu", 2_000)), 100);
}
