//! What is to be done with a push, before it is tried and after: pure functions of what is known.

use std::time::Duration;

use natterjack_nats::wire::{Channel, Notice, PushJob, PushRegistration};
use rand::Rng;

use super::{
    backoff,
    origins::{MISCONFIGURED_PAUSE, Verdict},
};
use crate::push::{Outcome, Scope};

/// What is known of a push that is due.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Through what it was to go.
    pub channel: Channel,
    /// Where the device is reached now.
    pub registration: Option<&'a PushRegistration>,
    /// Whether something newer stands in its place.
    pub replaced: bool,
    /// How far the user has read in its conversation, as far as it is known.
    pub read: u64,
    /// Unix milliseconds.
    pub now_ms: u64,
    /// How long after its decision it is given up.
    pub ttl: Duration,
}

/// What is to be done with a push that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// It is tried; a push service may keep it for so long.
    Send(Duration),
    /// It is not needed any more.
    Drop(&'static str),
    /// It was read meanwhile.
    Read,
    /// It is too old.
    GiveUp(String),
}

/// What is to be done with a push that is due.
pub fn due(job: &PushJob, facts: Facts<'_>) -> Due {
    if facts.replaced {
        return Due::Drop("a later entry of this conversation took its place");
    }
    let Some(registration) = facts.registration else {
        return Due::Drop("the device is not registered for pushes any more");
    };
    if registration.request.target.channel() != facts.channel {
        return Due::Drop("the device has registered with another kind of push service since");
    }
    let rest = rest(job, facts.now_ms, facts.ttl);
    match &job.notice {
        Notice::Withdraw { .. } if !registration.request.silent => {
            Due::Drop("the device allows no push that shows nothing: nothing can be taken back there")
        }
        Notice::Withdraw { .. } if rest.is_zero() => Due::Drop("it is too late to take it back"),
        Notice::Message { seq, .. } if facts.read >= *seq => Due::Read,
        Notice::Message { .. } if rest.is_zero() => Due::GiveUp(format!(
            "it could not be pushed within {} hours; see its trace for what was tried",
            facts.ttl.as_secs() / 3_600
        )),
        Notice::Withdraw { .. } | Notice::Message { .. } => Due::Send(rest),
    }
}

/// How long a push may still be tried.
pub fn rest(job: &PushJob, now_ms: u64, ttl: Duration) -> Duration {
    ttl.saturating_sub(Duration::from_millis(now_ms.saturating_sub(job.decided_at)))
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Accepted,
    /// The registration goes; if the device has another one by now, that is tried.
    Unregister,
    /// It is tried again after this pause.
    Again(Duration),
    /// It is given up.
    GiveUp,
}

/// What follows from an attempt, for the push and for its origin; `count` is how often it was delivered to
/// be sent, the first time being 1, and `rest` how long it may still be tried.
pub fn next(outcome: &Outcome, count: u32, rest: Duration, random: &mut impl Rng) -> (Next, Verdict) {
    // At its end it comes once more, to be given up.
    let again = |pause: Duration| Next::Again(pause.min(rest.max(Duration::from_secs(1))));
    match outcome {
        Outcome::Accepted { .. } => (Next::Accepted, Verdict::Answered),
        Outcome::Gone { .. } => (Next::Unregister, Verdict::Answered),
        Outcome::Refused { .. } => (Next::GiveUp, Verdict::Answered),
        Outcome::Later { after, scope, .. } => {
            let of_ours = backoff::pause(count, random);
            let pause = after.map_or(of_ours, |after| backoff::as_asked(after, random).max(of_ours));
            let verdict = match scope {
                Scope::Origin => Verdict::Failed { after: *after },
                Scope::Device => Verdict::Answered,
            };
            (again(pause), verdict)
        }
        Outcome::Misconfigured { .. } => {
            let pause = backoff::pause_from(MISCONFIGURED_PAUSE, count, random);
            (again(pause), Verdict::Misconfigured)
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
