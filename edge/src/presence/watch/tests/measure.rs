//! What watching costs in memory; the figures stand in `docs/performance.md`.

use super::*;

const USERS: u64 = 100_000;
const SESSIONS: u64 = 20_000;
const WATCHED: u64 = 50;

/// Spread over all buckets, as ids are that were made at random.
fn somebody(n: u64) -> UserId {
    let spread = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    UserId::from_parts(n, spread >> 48)
}

/// Resident memory of this process, in bytes; Linux only.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: u64| pages * 4096)
}

#[test]
#[ignore = "a measurement: run it alone, with --nocapture"]
fn bytes_of_a_hundred_thousand_users_and_a_million_watches() {
    let metrics = EdgeMetrics::register(&Metrics::new("edge"));
    let limits = QueueLimits {
        frames: 1_024,
        bytes: 4 << 20,
    };
    let queues: Vec<_> = (0..SESSIONS)
        .map(|_| outlet(None, limits, metrics.clone()))
        .collect();
    let (mut state, log) = map();
    let before = resident();
    let mut room = vec![];
    for (session, (outlet, inlet)) in (0..).zip(queues) {
        // Everybody is watched by somebody, in no order.
        let first = session * WATCHED;
        let users = (first..first + WATCHED).map(|n| somebody(1 + n * 7_919 % USERS));
        let viewer = somebody(USERS + 1 + session);
        let prepared = state.prepare(viewer, outlet, users.collect()).expect("room");
        let known = prepared.unknown.into_iter().map(nothing).collect();
        state.learn_all(known, prepared.epoch);
        state.answer(prepared.key, None, "w");
        let mut told = vec![];
        let mut inlet = inlet;
        assert_eq!(inlet.try_recv_many(&mut told, 2), 1);
        room.push(inlet);
    }
    let bytes = resident() - before;
    let (users, sessions) = state.len();
    assert_eq!((users as u64, sessions as u64), (USERS + SESSIONS, SESSIONS));
    assert_eq!(log.buckets().len(), 256);
    let of_each = bytes / SESSIONS;
    println!(
        "{users} users, {sessions} sessions with {WATCHED} each: {} KiB, {of_each} bytes a session",
        bytes >> 10
    );
    // Of a session: 21 bytes a watch, its own entry, and its share of the users' entries.
    assert!(of_each < 5_000, "{of_each}");
}
