//! Who was told of whom that they are there, what is stored of that, and what is true.

use std::collections::{BTreeMap, BTreeSet};

use natterjack_nats::{
    UserId,
    wire::{PresenceState, ShownState},
};

use super::Journal;

/// Presence, as a run saw it.
#[derive(Debug, Default)]
pub(in crate::check) struct People {
    /// Whom each device watches that is connected.
    pub watches: BTreeMap<String, BTreeSet<UserId>>,
    /// What each device was told last.
    pub told: BTreeMap<(String, UserId), ShownState>,
    /// What is stored at the end.
    pub stored: BTreeMap<UserId, PresenceState>,
    /// What is true at the end.
    pub truth: BTreeMap<UserId, PresenceState>,
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

    /// At the end: what is stored of everybody, and who is really connected. Who is not named is
    /// offline.
    pub fn at_the_end(
        &mut self,
        stored: impl IntoIterator<Item = (UserId, PresenceState)>,
        truth: impl IntoIterator<Item = (UserId, PresenceState)>,
    ) {
        self.people.stored = stored.into_iter().collect();
        self.people.truth = truth.into_iter().collect();
    }
}
