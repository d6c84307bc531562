//! One gap in one conversation, from its discovery until it is closed.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::wire::{Message, WireError};
use rand::Rng;

use crate::backoff::Backoff;

/// Most messages that wait behind a gap; what does not fit is asked from history once more.
const HELD_MAX: usize = 256;

/// Most bytes of text that wait behind a gap.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// So often history may contradict the live tail, or not answer, before the gap is called one that
/// stays.
const FRUITLESS_MAX: u32 = 10;

#[derive(Debug)]
pub(super) struct Repair {
    held: BTreeMap<u64, Message>,
    held_bytes: usize,
    /// The highest sequence that was seen, held or not.
    target: u64,
    /// `None` while a request is under way.
    due: Option<Duration>,
    failures: u32,
    fruitless: u32,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    GoesOn,
    Closed,
    /// History cannot tell what lies between.
    Hopeless,
}

impl Repair {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            held: BTreeMap::new(),
            held_bytes: 0,
            target: 0,
            due: Some(now),
            failures: 0,
            fruitless: 0,
        }
    }

    pub(super) fn hold(&mut self, message: Message) {
        self.target = self.target.max(message.seq);
        let bytes = message.text.as_ref().map_or(0, String::len);
        let fits = self.held.len() < HELD_MAX && self.held_bytes + bytes <= HELD_BYTES_MAX;
        if fits && self.held.insert(message.seq, message).is_none() {
            self.held_bytes += bytes;
        }
    }

    /// There is something at `head`.
    pub(super) fn aim(&mut self, head: u64) {
        self.target = self.target.max(head);
    }

    pub(super) const fn target(&self) -> u64 {
        self.target
    }

    pub(super) const fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Whether history is to be asked now; then a request counts as under way.
    pub(super) fn ask(&mut self, now: Duration) -> bool {
        let ask = self.due.is_some_and(|due| due <= now);
        if ask {
            self.due = None;
        }
        ask
    }

    /// The held messages that follow without a gap, now that all up to `known` is known.
    pub(super) fn release(&mut self, cursor: &mut u64, known: u64) -> Vec<Message> {
        let mut released = Vec::new();
        let mut known = known.max(*cursor);
        while let Some(first) = self.held.first_entry() {
            let message = first.get();
            let follows = message.seq <= known || (message.prev > 0 && message.prev <= known);
            if !follows {
                break;
            }
            let message = first.remove();
            self.held_bytes -= message.text.as_ref().map_or(0, String::len);
            if message.seq > *cursor {
                *cursor = message.seq;
                known = known.max(message.seq);
                released.push(message);
            }
        }
        released
    }

    /// Whether everything that was seen is shown.
    pub(super) const fn closed(&self, cursor: u64) -> bool {
        cursor >= self.target
    }

    pub(super) fn after_page(
        &mut self,
        cursor: u64,
        progress: bool,
        more: bool,
        now: Duration,
        backoff: Backoff,
        rng: &mut impl Rng,
    ) -> Verdict {
        if self.closed(cursor) {
            return Verdict::Closed;
        }
        if progress {
            (self.failures, self.fruitless) = (0, 0);
        }
        if progress && more {
            self.due = Some(now);
            return Verdict::GoesOn;
        }
        self.fruitless(now, backoff, rng)
    }

    pub(super) fn after_refusal(
        &mut self,
        error: Option<&WireError>,
        now: Duration,
        backoff: Backoff,
        rng: &mut impl Rng,
    ) -> Verdict {
        match error {
            // A part of the server is away: however long that takes, it is not hopeless.
            Some(error) if error.retryable => {
                let asked = Duration::from_millis(error.retry_after_ms.unwrap_or_default());
                self.wait(asked, now, backoff, rng);
                Verdict::GoesOn
            }
            Some(_) => Verdict::Hopeless,
            None => self.fruitless(now, backoff, rng),
        }
    }

    fn fruitless(&mut self, now: Duration, backoff: Backoff, rng: &mut impl Rng) -> Verdict {
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_MAX {
            return Verdict::Hopeless;
        }
        self.wait(Duration::ZERO, now, backoff, rng);
        Verdict::GoesOn
    }

    fn wait(&mut self, at_least: Duration, now: Duration, backoff: Backoff, rng: &mut impl Rng) {
        let delay = backoff.delay(self.failures, rng);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + at_least + delay);
    }
}
