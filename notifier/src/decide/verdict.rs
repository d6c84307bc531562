//! The decision: whether a message is pushed to a user, and to which devices. Pure; [`gate`] answers by the
//! message and its outcome alone, and [`decide`] where the devices count as well.
//!
//! It depends on how old the message is and on what is stored, never on how often it was looked at: so
//! whoever decides it again, after a crash or beside another process, comes to the same.

use natterjack_nats::{DeviceId, wire::PushReason};

/// When it is decided.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// How old the message is, in milliseconds.
    pub age_ms: u64,
    /// How long a device in the foreground has to confirm, in milliseconds.
    pub grace_ms: u64,
    /// From which age on nothing is pushed any more, in milliseconds.
    pub ttl_ms: u64,
}

impl Moment {
    /// Whether devices in the foreground have had their second grace.
    const fn is_last(self) -> bool {
        self.age_ms >= 2 * self.grace_ms
    }
}

/// How a user stands to a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// They sent it.
    pub own: bool,
    /// They came into the group after it.
    pub joined_later: bool,
    /// They have read it.
    pub read: bool,
    /// A device of theirs has confirmed it, in the foreground.
    pub confirmed: bool,
    /// A device of theirs has it, in the foreground or not.
    pub delivered: bool,
    /// It was deleted.
    pub deleted: bool,
    /// They have muted the conversation, and the message does not break that.
    pub muted: bool,
}

/// A device that may be pushed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Which.
    pub device: DeviceId,
    /// Its app is in the foreground, as its edge says.
    pub active: bool,
    /// It was told of this message or a later one already, or that it was read.
    pub told: bool,
}

/// What is done about a message for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: PushReason,
    /// The devices that are pushed now.
    pub push: Vec<DeviceId>,
    /// Their edges are told to look whether they have it.
    pub nudge: bool,
    /// It is looked at once more after the second grace.
    pub again: bool,
}

/// Why a message is not pushed to a user, whatever devices they have; `None` if that depends on those.
#[must_use]
pub const fn gate(standing: &Standing, moment: Moment) -> Option<PushReason> {
    Some(if standing.own {
        PushReason::Own
    } else if standing.joined_later {
        PushReason::JoinedLater
    } else if standing.read {
        PushReason::Read
    } else if standing.confirmed {
        PushReason::Confirmed
    } else if standing.deleted {
        PushReason::Deleted
    } else if moment.age_ms > moment.ttl_ms {
        PushReason::TooOld
    } else {
        return None;
    })
}

/// What is done for a user with these registered devices. `connected`: some device of theirs is connected,
/// registered or not; `active`: one of those is in the foreground.
#[must_use]
pub fn decide(
    standing: &Standing,
    moment: Moment,
    (connected, active): (bool, bool),
    targets: &[Target],
) -> Decision {
    if let Some(reason) = gate(standing, moment) {
        return Decision {
            reason,
            push: Vec::new(),
            nudge: false,
            again: false,
        };
    }
    // Who is connected and lacks it. One that has it and is in the background has nothing to repair, and is
    // not woken for it; after the second grace a nudge has been tried.
    let nudge = connected && (!standing.delivered || (active && !moment.is_last()));
    if standing.muted {
        // What is not pushed is repaired all the same.
        return Decision {
            reason: PushReason::Muted,
            push: Vec::new(),
            nudge,
            again: false,
        };
    }
    let untold = || targets.iter().filter(|target| !target.told);
    let waits = |target: &Target| target.active && !moment.is_last();
    let again = untold().any(waits);
    let push: Vec<DeviceId> = untold()
        .filter(|target| !waits(target))
        .map(|target| target.device)
        .collect();
    let reason = if again {
        PushReason::Nudged
    } else if !push.is_empty() {
        PushReason::Unconfirmed
    } else if targets.is_empty() {
        PushReason::NotRegistered
    } else {
        PushReason::Queued
    };
    Decision {
        reason,
        push,
        nudge,
        again,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
