//! What is not sure: who is to be asked for again because changes may have been missed.

use std::mem;

use natterjack_nats::UserId;

use super::State;

/// Users to ask for, and since when nothing is sure.
#[derive(Debug)]
pub(in crate::presence::watch) struct Unsure {
    pub(in crate::presence::watch) users: Vec<UserId>,
    pub(in crate::presence::watch) epoch: u32,
}

impl State {
    /// Changes may have been missed: everybody is to be asked for again.
    pub(in crate::presence::watch) fn doubt(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.unsure = true;
    }

    /// Whom to ask for because of a doubt, if there is one.
    pub(in crate::presence::watch) fn take_unsure(&mut self) -> Option<Unsure> {
        if !mem::take(&mut self.unsure) {
            return None;
        }
        let epoch = self.epoch;
        let unsure = self.users.iter().filter(|(_, entry)| entry.epoch != epoch);
        let users = unsure.map(|(user, _)| *user).collect();
        Some(Unsure { users, epoch })
    }

    /// The question could not be answered: it stays.
    pub(in crate::presence::watch) fn still_unsure(&mut self) {
        self.unsure = true;
    }

    /// Asks for these once more at that time.
    pub(in crate::presence::watch) fn recheck(&mut self, users: Vec<UserId>, at_ms: u64) {
        if !users.is_empty() {
            self.rechecks.push_back((at_ms, users));
        }
    }

    /// Whom to ask for once more now, and when the next are due.
    pub(in crate::presence::watch) fn take_rechecks(&mut self, now_ms: u64) -> (Unsure, Option<u64>) {
        let mut users = vec![];
        let count = self.rechecks.partition_point(|(at_ms, _)| *at_ms <= now_ms);
        for (_, due) in self.rechecks.drain(..count) {
            users.extend(due.into_iter().filter(|user| self.users.contains_key(user)));
        }
        users.sort_unstable();
        users.dedup();
        let epoch = self.epoch;
        (
            Unsure { users, epoch },
            self.rechecks.front().map(|(at_ms, _)| *at_ms),
        )
    }
}
