//! Who may be asked now: the state of each origin, without any waiting or asking of its own.
//!
//! An origin that fails some times in a row, or asks for patience, is paused: nothing is sent to it until the
//! pause is over, then one push as a probe, whose answer ends the pause or begins a longer one. An origin that
//! hangs keeps no more than its own places, and for one that is slow no more wait than it will get through
//! soon. Origins come from registrations, so that strangers choose them:
//! those that have not answered yet share half of all places, and no more are remembered than a bound.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use natterjack_nats::UserId;
use rand::Rng;

use super::backoff;

/// Failures in a row after which an origin is paused.
const FAILURES_MAX: u32 = 5;
/// Its first pause.
const PAUSE: Duration = Duration::from_secs(5);
/// The first pause of one that only an operator can mend, and of a push that it takes for one.
pub const MISCONFIGURED_PAUSE: Duration = Duration::from_secs(30);
/// So many users in a row must be refused before an origin counts as misconfigured for all: a single one may
/// have brought a registration that was made with another server's key.
const MISCONFIGURED_USERS: usize = 3;
/// An origin from which nothing came back for so long, while something is under way, hangs.
const STALL: Duration = Duration::from_secs(1);
/// What an origin gets through in this time may wait for it.
const SOON: Duration = Duration::from_secs(2);
/// For each of its places so many may wait for an origin, however slow it is.
const WAITING_PER_PLACE: usize = 2;
/// One that was not used for so long is forgotten.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// Most origins that are remembered; more than can be in use at once.
const ORIGINS_MAX: usize = 8_192;

/// What an attempt told of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It lives: it took the push, or had something to say about this device.
    Answered,
    /// It is away, or wants to be left alone for a while.
    Failed {
        /// For how long, if it said so.
        after: Option<Duration>,
    },
    /// It does not take our pushes as we are set up.
    Misconfigured,
    /// Nothing: it was not asked.
    Unknown,
}

/// Whether a push may go out.
#[derive(Debug)]
pub enum Admission {
    /// Now.
    Go(Permit),
    /// As soon as another one is through.
    Wait,
    /// Not from here: it goes back to its consumer for a while.
    PutOff {
        /// For the metric.
        why: &'static str,
        /// For how long.
        after: Duration,
    },
}

/// A place, to be given back by [`Origins::ended`].
#[derive(Debug)]
pub struct Permit {
    origin: Arc<str>,
    user: UserId,
    proven: bool,
    probe: bool,
    since: Instant,
}

impl Permit {
    /// Where it is.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

#[derive(Debug)]
struct Origin {
    in_flight: usize,
    /// How long attempts took lately.
    took: Duration,
    /// When something last came back, or the first was sent.
    moved: Instant,
    touched: Instant,
    /// Whether it has answered since it last failed for good.
    proven: bool,
    failures: u32,
    /// Whether it has ever answered.
    answered: bool,
    /// Those whose pushes it refused in a row as misconfigured.
    refused: Vec<UserId>,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    /// How many in a row.
    count: u32,
    probing: bool,
}

/// The origins of one kind of push service.
#[derive(Debug)]
pub struct Origins {
    in_flight_max: usize,
    per_origin_max: usize,
    /// One that never answered is heard once it refused the pushes of so many users.
    refused_users_max: usize,
    in_flight: usize,
    unproven_in_flight: usize,
    states: HashMap<Arc<str>, Origin>,
}

impl Origins {
    /// None is known yet.
    pub fn new(in_flight_max: usize, per_origin_max: usize, refused_users_max: usize) -> Self {
        Self {
            in_flight_max,
            per_origin_max,
            refused_users_max,
            in_flight: 0,
            unproven_in_flight: 0,
            states: HashMap::new(),
        }
    }

    /// Whether a push may go to this origin; `count` is how often it was tried or put off already.
    pub fn admit(
        &mut self,
        origin: &Arc<str>,
        user: UserId,
        count: u32,
        now: Instant,
        random: &mut impl Rng,
    ) -> Admission {
        let full = self.in_flight >= self.in_flight_max;
        let unproven_full = self.unproven_in_flight >= (self.in_flight_max / 2).max(1);
        let per_origin_max = self.per_origin_max;
        let state = self.state(origin, now);
        let stalled = state.in_flight > 0 && now.saturating_duration_since(state.moved) > STALL;
        if let Some(pause) = &state.pause {
            let rest = pause.until.saturating_duration_since(now);
            if !rest.is_zero() {
                let after = backoff::after(rest, random);
                return Admission::PutOff { why: "paused", after };
            }
            if pause.probing {
                let after = backoff::pause(count, random);
                return Admission::PutOff { why: "probed", after };
            }
        } else if state.in_flight >= per_origin_max {
            if !stalled {
                return Admission::Wait;
            }
            let after = backoff::pause(count, random);
            return Admission::PutOff {
                why: "stalled",
                after,
            };
        }
        if !state.proven && unproven_full {
            let after = backoff::pause(count, random);
            return Admission::PutOff {
                why: "unproven",
                after,
            };
        }
        if full {
            return Admission::Wait;
        }
        if state.in_flight == 0 {
            state.moved = now;
        }
        state.in_flight += 1;
        let (proven, probe) = (state.proven, state.pause.is_some());
        if let Some(pause) = &mut state.pause {
            pause.probing = true;
        }
        self.in_flight += 1;
        self.unproven_in_flight += usize::from(!proven);
        Admission::Go(Permit {
            origin: Arc::clone(origin),
            user,
            proven,
            probe,
            since: now,
        })
    }

    /// An attempt is over.
    pub fn ended(&mut self, permit: &Permit, verdict: Verdict, now: Instant, random: &mut impl Rng) {
        self.in_flight -= 1;
        self.unproven_in_flight -= usize::from(!permit.proven);
        let Some(state) = self.states.get_mut(&permit.origin) else {
            return;
        };
        state.in_flight -= 1;
        if verdict != Verdict::Unknown {
            // An average in which the last four count most.
            state.took = (state.took * 3 + now.saturating_duration_since(permit.since)) / 4;
        }
        state.moved = now;
        state.touched = now;
        match verdict {
            Verdict::Answered => {
                state.proven = true;
                state.answered = true;
                state.failures = 0;
                state.refused.clear();
                // What was sent before the pause says nothing about whether it is over.
                if permit.probe {
                    state.pause = None;
                }
            }
            Verdict::Failed { after } => {
                state.failures = state.failures.saturating_add(1);
                if permit.probe || after.is_some() || state.failures >= FAILURES_MAX {
                    state.pause(PAUSE, after, permit.probe, now, random);
                }
            }
            Verdict::Misconfigured => {
                if !state.refused.contains(&permit.user) && state.refused.len() < MISCONFIGURED_USERS {
                    state.refused.push(permit.user);
                }
                if permit.probe || state.refused.len() >= MISCONFIGURED_USERS {
                    state.pause(MISCONFIGURED_PAUSE, None, permit.probe, now, random);
                }
            }
            Verdict::Unknown => {
                if let Some(pause) = state.pause.as_mut().filter(|_| permit.probe) {
                    pause.probing = false;
                }
            }
        }
    }

    /// Forgets those that nobody used for long.
    pub fn forget_idle(&mut self, now: Instant) {
        self.states.retain(|_, state| {
            // A pause that was asked for may be longer.
            let paused = state.pause.as_ref().is_some_and(|pause| pause.until > now);
            state.in_flight > 0 || paused || now.saturating_duration_since(state.touched) < IDLE
        });
    }

    /// How many may wait for an origin: what it gets through soon, and for each of its places some at least.
    pub fn waiting_max(&self, origin: &str) -> usize {
        let took = self.states.get(origin).map_or(Duration::ZERO, |state| state.took);
        let each = SOON.as_millis() / took.as_millis().max(1);
        let each = usize::try_from(each).unwrap_or(usize::MAX);
        self.per_origin_max.saturating_mul(each.max(WAITING_PER_PLACE))
    }

    /// Pushes under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Origins that are paused.
    pub fn paused(&self) -> usize {
        self.states.values().filter(|state| state.pause.is_some()).count()
    }

    /// Whether the last that some origin said is that it does not take our pushes: one that anybody names is
    /// heard if it has answered otherwise before, or says so to several users.
    pub fn misconfigured(&self) -> bool {
        let max = self.refused_users_max;
        self.states.values().any(|state| state.is_misconfigured(max))
    }

    /// Whether this origin does not take our pushes.
    pub fn is_misconfigured(&self, origin: &str) -> bool {
        let max = self.refused_users_max;
        self.states
            .get(origin)
            .is_some_and(|state| state.is_misconfigured(max))
    }

    fn state(&mut self, origin: &Arc<str>, now: Instant) -> &mut Origin {
        if self.states.len() >= ORIGINS_MAX && !self.states.contains_key(origin) {
            self.forget_one();
        }
        let state = self
            .states
            .entry(Arc::clone(origin))
            .or_insert_with(|| Origin::new(now));
        state.touched = now;
        state
    }

    /// Makes room: the one that was not used for longest.
    fn forget_one(&mut self) {
        let idle = self.states.iter().filter(|(_, state)| state.in_flight == 0);
        let oldest = idle.min_by_key(|(_, state)| state.touched);
        if let Some(origin) = oldest.map(|(origin, _)| Arc::clone(origin)) {
            self.states.remove(&origin);
        }
    }
}

impl Origin {
    fn new(now: Instant) -> Self {
        Self {
            in_flight: 0,
            took: Duration::ZERO,
            moved: now,
            touched: now,
            proven: false,
            failures: 0,
            answered: false,
            refused: Vec::new(),
            pause: None,
        }
    }

    fn is_misconfigured(&self, refused_users_max: usize) -> bool {
        let heard = self.answered || self.refused.len() >= refused_users_max;
        heard && !self.refused.is_empty()
    }

    fn pause(
        &mut self,
        first: Duration,
        asked: Option<Duration>,
        probe: bool,
        now: Instant,
        random: &mut impl Rng,
    ) {
        let probing = self.pause.as_ref().is_some_and(|pause| pause.probing && !probe);
        let (count, until) = match &self.pause {
            // Others that were under way when it began say nothing new, unless they are asked for more.
            Some(pause) if !probe => {
                let asked = asked.map(|asked| now + backoff::as_asked(asked, random));
                (pause.count, pause.until.max(asked.unwrap_or(now)))
            }
            before => {
                let count = before.as_ref().map_or(1, |pause| pause.count.saturating_add(1));
                let length = match asked {
                    Some(asked) => backoff::as_asked(asked, random),
                    None => backoff::pause_from(first, count, random),
                };
                (count, now + length)
            }
        };
        self.proven = false;
        self.pause = Some(Pause {
            until,
            count,
            probing,
        });
    }
}

#[cfg(test)]
#[path = "origins_tests.rs"]
mod tests;
