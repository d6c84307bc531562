//! What every kind of push service is to the rest: it takes a notice for a device, and says what became
//! of it.

use std::time::Duration;

use natterjack_nats::wire::{Notice, PushRegistration};

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
        /// What it said.
        detail: String,
    },
    /// Not before an operator mends something: every push of this kind fails alike.
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
