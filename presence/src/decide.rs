//! What a look at a user comes to: a pure function of what is stored.
//!
//! Upward (offline → away → online) at once. Downward only once nothing has ended for the grace, so
//! that who reconnects, or puts the app away for a moment, never went. A session of which it is not
//! known yet whether its edge lives counts for staying up, and not for going up.

use natterjack_nats::wire::{PresenceRecord, PresenceState};

/// Where devices come and go all the time, an end is waited out for so many graces at most.
const GRACES_MAX: u64 = 5;

/// How soon a user is looked at again while it is not known of a session whether its edge lives.
pub const DOUBT_MS: u64 = 1_000;

/// What has become of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its edge holds the lease under which it was written.
    Open {
        /// In the foreground.
        active: bool,
    },
    /// It cannot be said yet whether its edge lives.
    Doubtful {
        /// In the foreground.
        active: bool,
    },
    /// It ended in good order.
    Closed,
    /// Its edge is gone: nobody will end it.
    Lost,
}

/// What is stored of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What has become of it.
    pub fate: Fate,
    /// Since when, by the server's clock, Unix milliseconds: written, ended, or its edge heard of last.
    pub at_ms: u64,
}

/// When and why it is looked.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now, by the server's clock, Unix milliseconds.
    pub now_ms: u64,
    /// The event that gave reason to look, the same way; 0 if there was none.
    pub event_ms: u64,
    /// For how long a lower state waits.
    pub grace_ms: u64,
}

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be written in place of the record.
    pub write: Option<PresenceRecord>,
    /// Something is left open, which time alone will decide: look again after so many milliseconds.
    pub again_ms: Option<u64>,
}

/// Decides.
#[must_use]
pub fn decide(record: &PresenceRecord, entries: &[Entry], moment: Moment) -> Decision {
    let (mut sure, mut possible) = (PresenceState::Offline, PresenceState::Offline);
    let (mut doubt, mut ended_ms, mut quiet_ms) = (false, 0, 0);
    for entry in entries {
        let (state, active) = match entry.fate {
            Fate::Open { active } => {
                sure = sure.max(state(active));
                (state(active), active)
            }
            Fate::Doubtful { active } => {
                doubt = true;
                (state(active), active)
            }
            Fate::Closed | Fate::Lost => (PresenceState::Offline, false),
        };
        possible = possible.max(state);
        if !active {
            ended_ms = ended_ms.max(entry.at_ms);
            // Of a lost session, the lease's time to live was the grace.
            if entry.fate != Fate::Lost {
                quiet_ms = quiet_ms.max(entry.at_ms);
            }
        }
    }
    let doubt = doubt.then_some(DOUBT_MS);
    if record.state < sure {
        return Decision {
            write: Some(up(record, sure, moment)),
            again_ms: doubt,
        };
    }
    if record.state <= possible {
        return Decision {
            write: None,
            again_ms: doubt,
        };
    }
    let quiet_for_ms = moment.now_ms.saturating_sub(quiet_ms);
    let asked_for_ms = match moment.event_ms {
        0 => 0,
        event_ms => moment.now_ms.saturating_sub(event_ms),
    };
    if quiet_for_ms < moment.grace_ms && asked_for_ms < GRACES_MAX * moment.grace_ms {
        let rest_ms = moment.grace_ms - quiet_for_ms;
        return Decision {
            write: None,
            again_ms: Some(doubt.map_or(rest_ms, |doubt| doubt.min(rest_ms))),
        };
    }
    Decision {
        write: Some(down(record, possible, ended_ms, moment.now_ms)),
        again_ms: doubt,
    }
}

const fn state(active: bool) -> PresenceState {
    if active {
        PresenceState::Online
    } else {
        PresenceState::Away
    }
}

fn up(record: &PresenceRecord, state: PresenceState, moment: Moment) -> PresenceRecord {
    let online = state == PresenceState::Online;
    PresenceRecord {
        state,
        since: moment.now_ms.max(record.since),
        last_seen: if online { None } else { record.last_seen },
        privacy: record.privacy,
    }
}

/// `ended_ms` is when the last of what kept the user up ended; 0 if no trace of it is left, when it is
/// taken to have ended now.
fn down(record: &PresenceRecord, state: PresenceState, ended_ms: u64, now_ms: u64) -> PresenceRecord {
    let at = if ended_ms == 0 {
        now_ms
    } else {
        ended_ms.min(now_ms)
    };
    let at = at.max(record.since);
    PresenceRecord {
        state,
        since: at,
        last_seen: if record.state == PresenceState::Online {
            Some(at)
        } else {
            record.last_seen
        },
        privacy: record.privacy,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
