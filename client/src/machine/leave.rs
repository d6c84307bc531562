//! Leaving an edge that drains, before it closes the connection: when all that was sent is answered, at a
//! moment of one's own, so that the next edge does not get everybody at once.

use std::time::Duration;

use rand::RngExt as _;

use super::{Machine, Output, State};
use crate::event::Event;

/// However long the edge takes for its own end; one that has not closed by then is left all the same.
const LEAVING_MAX: Duration = Duration::from_secs(600);

impl Machine {
    /// The edge says that it goes, and names others.
    pub(super) fn draining(&mut self, now: Duration, edges: Vec<String>, within_ms: u64) {
        let State::Live(live) = &mut self.state else {
            return;
        };
        // Said twice, it goes no later.
        if live.leaves_at.is_some() || !self.route.leave(now, edges) {
            return;
        }
        let within = Duration::from_millis(within_ms).min(LEAVING_MAX);
        let share = self.rng.random_range(0.0..1.0);
        live.leaves_at = Some(now + within.mul_f64(share));
    }

    /// Whether there is somewhere to go from an edge that drains.
    pub(super) fn leaves_for_another(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.leaves_at.is_some())
    }

    /// Whether nothing more is sent over this connection: its moment has come.
    pub(super) fn is_leaving(&self, now: Duration) -> bool {
        matches!(&self.state, State::Live(live) if live.leaves_at.is_some_and(|at| at <= now))
    }

    /// Goes if the moment has come and no send is open. One without an answer goes again after its time,
    /// under its id, over the next edge; so this waits no longer than that.
    pub(super) fn leave_once_answered(&mut self, now: Duration) {
        if self.is_leaving(now) && self.outbox.in_flight() == 0 {
            let frames = self.receipts.take_all(now);
            self.out.extend(frames.into_iter().map(Output::Send));
            self.out.push(Output::Close);
            self.leave(now);
        }
    }

    /// Connects to the other edge: at once, but for one that was sent on again and again.
    pub(super) fn leave(&mut self, now: Duration) {
        self.note_stability(now);
        if self.failures > 0 {
            return self.back_off(now, Duration::ZERO, "the server is going away".to_owned());
        }
        self.failures = 1;
        self.disconnected(now);
        let to = self.route.current().unwrap_or_default().to_owned();
        self.emit(Event::Moving { to });
        self.connect();
    }
}
