//! One conversation that is being caught up from history.

use std::{collections::VecDeque, sync::Arc};

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{
    limits,
    wire::{Page, WireError},
};

use super::{HELD_BYTES_MAX, Out};
use crate::live::{LiveMessage, Nudge};

/// Live messages that are held back in one conversation; those beyond come from history.
const HELD_MAX: usize = 64;
/// First and longest pause between tries.
const PAUSE_MS: (u64, u64) = (200, 10_000);
/// So many complete pages in a row without what was heard of, over some 20 s, and it is taken for
/// something that history will never show: a stored message that is none.
const BARREN_MAX: u32 = 8;

/// How a conversation that misses something gets on.
#[derive(Debug)]
pub(super) struct Catching {
    state: State,
    /// Live messages behind the gap, ascending.
    held: VecDeque<Arc<LiveMessage>>,
    held_bytes: usize,
    /// The highest sequence that was heard of live: the gap is not closed before it was delivered.
    need: u64,
    /// The highest head that was told of; none of it is held.
    told: u64,
    /// History has to be asked once more: the page that is under way may be older than what counts.
    stale: bool,
    /// Messages delivered from history since it began.
    replayed: usize,
    fruitless: u32,
    barren: u32,
    resumes: bool,
    /// What the client is asked once it has all that this is about.
    nudge: Option<Arc<Nudge>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Fetching,
    Paused,
}

/// What follows a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything up to here was delivered.
    Done,
    /// There is more.
    Again,
    /// Not now: after so many milliseconds.
    Pause(u64),
}

impl Catching {
    /// A gap up to a head that was told of, if one was.
    pub(super) const fn gap(told: u64) -> Self {
        let mut gap = Self::new(false);
        gap.told = told;
        gap
    }

    pub(super) const fn resuming() -> Self {
        Self::new(true)
    }

    const fn new(resumes: bool) -> Self {
        Self {
            state: State::Waiting,
            held: VecDeque::new(),
            held_bytes: 0,
            need: 0,
            told: 0,
            stale: false,
            replayed: 0,
            fruitless: 0,
            barren: 0,
            resumes,
            nudge: None,
        }
    }

    pub(super) const fn resumes(&self) -> bool {
        self.resumes
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn is_fetching(&self) -> bool {
        self.state == State::Fetching
    }

    /// There is something at `head`, or, with 0, there may be something new at all.
    pub(super) fn tell(&mut self, head: u64) {
        self.told = self.told.max(head);
        self.stale |= head == 0 && self.is_fetching();
    }

    /// The client is to be asked this when it is done.
    pub(super) fn ask(&mut self, nudge: Arc<Nudge>) {
        let head = self.nudge.as_ref().map_or(0, |nudge| nudge.head);
        if nudge.head >= head {
            self.nudge = Some(nudge);
        }
    }

    /// The frame in which the client is asked, if it was told everything up to there.
    pub(super) fn question(&self, last: u64) -> Option<Utf8Bytes> {
        let nudge = self.nudge.as_ref().filter(|nudge| nudge.head <= last)?;
        Some(nudge.frame.clone())
    }

    /// Its turn has come; whether it waited for it.
    pub(super) fn begin(&mut self) -> bool {
        let waited = self.state == State::Waiting;
        if waited {
            self.state = State::Fetching;
        }
        waited
    }

    /// The pause is over; whether there was one.
    pub(super) fn resume_pause(&mut self) -> bool {
        let paused = self.state == State::Paused;
        if paused {
            self.state = State::Waiting;
        }
        paused
    }

    /// Keeps a live message for later, if there is room; otherwise history has it.
    pub(super) fn hold(&mut self, message: Arc<LiveMessage>, held_bytes: &mut usize) {
        let (seq, size) = (message.position.seq, message.frame.len());
        let next = seq > self.need;
        // A message that was dropped leaves a hole in what is held, so that nothing more is kept.
        let whole = self.held.back().map_or(0, |last| last.position.seq) == self.need;
        self.need = seq.max(self.need);
        if next && whole && self.held.len() < HELD_MAX && *held_bytes + size <= HELD_BYTES_MAX {
            *held_bytes += size;
            self.held_bytes += size;
            self.held.push_back(message);
        }
    }

    /// Delivers a page, and what was held behind the gap once it is closed.
    pub(super) fn page(
        &mut self,
        last: &mut u64,
        exact: &mut bool,
        page: Page,
        held_bytes: &mut usize,
        out: &mut Vec<Out>,
    ) -> Step {
        let before = *last;
        for message in page.messages {
            if message.seq > *last {
                (*last, *exact) = (message.seq, true);
                self.replayed += 1;
                out.push(Out::Message(Box::new(message)));
            }
        }
        if page.more_after && self.replayed >= limits::RESUME_MESSAGES_MAX && page.head > *last {
            out.push(Out::Truncated {
                conversation: page.conversation,
                cursor: *last,
                head: page.head,
            });
            (*last, *exact, self.replayed) = (page.head, true, 0);
        } else if page.more_after {
            self.release(*last, held_bytes);
            return self.again(*last > before);
        }
        self.release(*last, held_bytes);
        while let Some(message) = self.held.front()
            && message.position.prev != 0
            && message.position.prev <= *last
        {
            (*last, *exact) = (message.position.seq, true);
            out.push(Out::Frame(message.frame.clone()));
            self.release(*last, held_bytes);
        }
        let fruitful = *last > before;
        if self.need.max(self.told) <= *last {
            return if std::mem::take(&mut self.stale) {
                self.again(true)
            } else {
                Step::Done
            };
        }
        self.barren = if fruitful { 0 } else { self.barren + 1 };
        if self.barren >= BARREN_MAX {
            let head = self.need.max(self.told);
            out.push(Out::Truncated {
                conversation: page.conversation,
                cursor: *last,
                head,
            });
            (*last, *exact) = (head, true);
            self.release(head, held_bytes);
            return Step::Done;
        }
        self.again(fruitful)
    }

    /// The page could not be read.
    pub(super) fn failed(&mut self, error: &WireError) -> Step {
        if error.retryable {
            self.again(false)
        } else {
            // Not a member any more, or no such conversation: there is nothing to hear.
            Step::Done
        }
    }

    fn again(&mut self, fruitful: bool) -> Step {
        if fruitful {
            (self.fruitless, self.state) = (0, State::Waiting);
            return Step::Again;
        }
        self.state = State::Paused;
        let pause_ms = (PAUSE_MS.0 << self.fruitless.min(10)).min(PAUSE_MS.1);
        self.fruitless += 1;
        Step::Pause(pause_ms)
    }

    /// Lets go of what was held up to `last`.
    fn release(&mut self, last: u64, held_bytes: &mut usize) {
        while let Some(message) = self.held.front()
            && message.position.seq <= last
        {
            self.held_bytes -= message.frame.len();
            *held_bytes -= message.frame.len();
            self.held.pop_front();
        }
    }
}
