//! What every kind of push service is to the rest: it takes a notice for a device, and says what became
//! of it.

use std::time::Duration;

use natterjack_nats::wire::{Channel, Notice, PushRegistration};

/// A kind of push service, as the sender uses it. Retries, pauses and giving up are the sender's: a service
/// tries once, within a time of its own that is well below a minute, and says what came of it.
pub trait PushService: Send + Sync + 'static {
    /// What it serves; registrations of another kind never reach it.
    fn channel(&self) -> Channel;

    /// Who answers for this registration, for example `https://push.example:8443`: what fails there fails
    /// for all of the same origin alike, and pauses for them alone.
    fn origin(&self, registration: &PushRegistration) -> String;

    /// How many pushes may be on their way to one origin, of `in_flight_max` to all of them: one that hangs
    /// must not take the places of all others.
    fn per_origin_max(&self, in_flight_max: usize) -> usize {
        (in_flight_max / 4).max(1)
    }

    /// Of how many users an origin must refuse pushes in a row before an operator is told, if it has never taken
    /// one: devices name origins, and strangers could hold the alert with one of theirs.
    fn refused_users_max(&self) -> usize {
        3
    }

    /// Tries once. Dropped in the middle, it may or may not have been sent.
    fn push(&self, push: Push<'_>) -> impl Future<Output = Outcome> + Send;
}

/// Whom a failure that passes concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The origin: it is away, does not answer, or wants less of everything. Others there would fail alike.
    Origin,
    /// This device alone, for example too many pushes to it in a short time.
    Device,
}

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// What the device is told.
    pub notice: &'a Notice,
    /// Where.
    pub registration: &'a PushRegistration,
    /// For how long the push service may keep it for a device that is away.
    pub ttl: Duration,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The push service has taken it.
    Accepted {
        /// What it said, for the operator.
        detail: String,
    },
    /// The registration is dead: the push service says that there is no such device any more.
    Gone {
        /// What it said.
        detail: String,
    },
    /// Not now: the push service is away, or asks for patience.
    Later {
        /// The pause that it asks for.
        after: Option<Duration>,
        /// For whom.
        scope: Scope,
        /// What it said.
        detail: String,
    },
    /// Not before an operator mends something: every push to this origin fails alike.
    Misconfigured {
        /// What to do.
        detail: String,
    },
    /// Never: this push will not be taken however often it is tried.
    Refused {
        /// What it said.
        detail: String,
    },
}

impl Outcome {
    /// What it says in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Accepted { detail }
            | Self::Gone { detail }
            | Self::Later { detail, .. }
            | Self::Misconfigured { detail }
            | Self::Refused { detail } => detail,
        }
    }
}
