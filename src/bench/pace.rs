//! Open-loop load: what is due at which time, whether or not the last one was answered.
//!
//! Latency is counted from when something was due, so that a stall shows in all that had to wait
//! for it and not in one request alone.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::stage::Stage;

/// More than a stall of a second at the highest rates; beyond it the run fails.
const BACKLOG_MAX: usize = 65_536;

/// Hands out moments at which something is due, `per_second` in all, to `workers` in turn.
///
/// A thread of its own keeps the time: timers of the async runtime are rounded to a millisecond,
/// which would be most of what is measured.
pub fn pace(per_second: f64, workers: usize, stage: Stage) -> Vec<mpsc::Receiver<Instant>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(BACKLOG_MAX)).unzip();
    let gap = Duration::from_secs_f64(1.0 / per_second.max(0.1));
    thread::spawn(move || {
        let mut due = Instant::now();
        for sender in senders.iter().cycle() {
            due += gap;
            wait_until(due);
            if stage.is_over() || sender.try_send(due).is_err() {
                return;
            }
        }
    });
    receivers
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is a thread of its own, which the async runtime does not miss"
)]
fn wait_until(due: Instant) {
    // What is overdue by now is handed out at once.
    if let Some(early) = due.checked_duration_since(Instant::now()) {
        thread::sleep(early);
    }
}
