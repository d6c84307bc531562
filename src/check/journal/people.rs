//! Who was told of whom that they are there, what is stored of that, and what is true.

use std::collections::{BTreeMap, BTreeSet};

use natterjack_nats::{
    DeviceId, UserId,
    wire::{PresenceState, ShownState},
};

use super::Journal;

/// Devices that are connected, and whether the app is in the foreground.
pub type Sessions = BTreeMap<(UserId, DeviceId), bool>;

/// Presence, as a run saw it.
#[derive(Debug, Default)]
pub(in crate::check) struct People {
    /// Whom each device watches that is connected.
    pub watches: BTreeMap<String, BTreeSet<UserId>>,
    /// What each device was told last.
    pub told: BTreeMap<(String, UserId), ShownState>,
    /// What is stored at the end.
    pub stored: BTreeMap<UserId, PresenceState>,
    /// Devices that are stored as connected at the end.
    pub sessions: Sessions,
    /// Devices that are connected in truth.
    pub truth: Sessions,
}

impl People {
    /// What a user is, in truth.
    pub fn is(&self, user: UserId) -> PresenceState {
        let devices = self.truth.iter().filter(|((of, _), _)| *of == user);
        let states = devices.map(|(_, active)| match active {
            true => PresenceState::Online,
            false => PresenceState::Away,
        });
        states.max().unwrap_or_default()
    }
}

impl Journal {
    /// From now on a device shows whether these users are there.
    pub fn watches(&mut self, device: &str, users: impl IntoIterator<Item = UserId>) {
        let users = users.into_iter().collect();
        self.people.watches.insert(device.into(), users);
    }

    /// A device is gone, and shows nobody.
    pub fn watches_nobody(&mut self, device: &str) {
        self.people.watches.remove(device);
    }

    /// A device was told of a user.
    pub fn shown(&mut self, device: &str, user: UserId, state: ShownState) {
        self.people.told.insert((device.into(), user), state);
    }

    /// At the end: what is stored of users and of connected devices, and who is really connected. Who is
    /// not named is offline.
    pub fn at_the_end(
        &mut self,
        stored: impl IntoIterator<Item = (UserId, PresenceState)>,
        sessions: Sessions,
        truth: Sessions,
    ) {
        self.people.stored = stored.into_iter().collect();
        (self.people.sessions, self.people.truth) = (sessions, truth);
    }
}
