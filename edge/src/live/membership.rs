//! Which groups a connected user is in: loaded when the first session opens, kept true by events,
//! loaded again when NATS was away.
//!
//! The same change is told twice, in the group and in the user's own log, which may be of different
//! streams and so come in any order; and a load may be older than an event that came while it was under
//! way. The order in which the changes were made decides, not the one in which they are heard of, and no
//! clock: those of two persisters differ.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use natterjack_nats::{
    Conversation, GroupId, Shard,
    services::{
        self,
        conversations::{OpenSession, Session},
    },
    wire::{Code, WireError},
};

use super::{
    feed::{GroupFeed, UserFeed},
    hub::Hub,
    outlet::Delivery,
    reader::Line,
};
use crate::app::SERVICE_TIMEOUT;

/// How long the feed of a group may take to be heard before that counts as an outage.
const READY: Duration = Duration::from_secs(5);
/// Changes that are remembered for a user; more than that happen to nobody in the time in which
/// they matter.
const CHANGES_MAX: usize = 256;

/// The groups of a user, and what changed lately.
#[derive(Debug, Default)]
pub(super) struct Places {
    groups: HashSet<GroupId>,
    loaded: bool,
    /// Counts changes, so that a load can tell which came after it began.
    version: u64,
    changes: HashMap<GroupId, Change>,
    /// Up to where the heads of this user's conversations were told to all sessions, by shard.
    pub(super) told: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    version: u64,
    order: u64,
    member: bool,
}

impl Places {
    /// Whether the user is in a group; `None` before the first load.
    pub(super) fn member(&self, group: GroupId) -> Option<bool> {
        self.loaded.then(|| self.groups.contains(&group))
    }

    pub(super) const fn is_loaded(&self) -> bool {
        self.loaded
    }

    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn groups(&self) -> Vec<GroupId> {
        self.groups.iter().copied().collect()
    }

    /// Up to where the heads of a shard were told.
    pub(super) fn told(&self, shard: Shard) -> u64 {
        self.told.get(shard.index()).copied().unwrap_or_default()
    }

    /// Notes a change; `None` if a later one is known, otherwise whether it makes a difference.
    fn change(&mut self, group: GroupId, member: bool, order: u64) -> Option<bool> {
        if self.changes.get(&group).is_some_and(|last| order < last.order) {
            return None;
        }
        if self.changes.len() >= CHANGES_MAX {
            self.changes
                .retain(|_, change| change.version + CHANGES_MAX as u64 / 2 > self.version);
        }
        self.version += 1;
        let version = self.version;
        self.changes.insert(
            group,
            Change {
                version,
                order,
                member,
            },
        );
        Some(if member {
            self.groups.insert(group)
        } else {
            self.groups.remove(&group)
        })
    }

    /// Takes over a load that began at `since`; answers what is new and what is gone.
    fn load(&mut self, fresh: &[GroupId], since: u64) -> (Vec<GroupId>, Vec<GroupId>) {
        let mut target: HashSet<_> = fresh.iter().copied().collect();
        for (group, change) in self.changes.iter().filter(|(_, change)| change.version > since) {
            if change.member {
                target.insert(*group);
            } else {
                target.remove(group);
            }
        }
        let new = target.difference(&self.groups).copied().collect();
        let gone = self.groups.difference(&target).copied().collect();
        self.groups = target;
        self.loaded = true;
        (new, gone)
    }
}

impl Hub {
    /// The user is in a group now. What the feed missed until it was heard is caught up by the
    /// sessions.
    pub(super) fn joined(&self, user: &Arc<UserFeed>, group: GroupId, order: u64) {
        let feed = {
            let mut state = self.state();
            if !is_current(&state, user) {
                return;
            }
            if user.places().change(group, true, order) != Some(true) {
                return;
            }
            state.enter(self, group, user)
        };
        let (hub, user) = (self.clone(), Arc::clone(user));
        self.inner.tasks.spawn_finite("live.join", async move {
            // Without the feed's word it is caught up all the same: heads are compared later.
            hub.hears_all(feed.line, READY).await;
            user.deliver(&Delivery::Joined(group));
            Ok(())
        });
    }

    /// The user is no longer in a group.
    pub(super) fn left(&self, user: &Arc<UserFeed>, group: GroupId, order: u64) {
        let mut state = self.state();
        if is_current(&state, user) && user.places().change(group, false, order) == Some(true) {
            state.leave(self, group, user.user);
            user.deliver(&Delivery::Left(group));
        }
    }

    /// Waits up to `limit` until everything that is published from now on is heard; whether it is.
    pub(super) async fn hears_all(&self, line: Line, limit: Duration) -> bool {
        self.inner.reader.passes(line.ticket, limit).await
    }

    /// Loads the groups of a connected user, and hears them.
    pub(super) async fn load(
        &self,
        user: &Arc<UserFeed>,
        request: OpenSession,
    ) -> Result<Session, WireError> {
        let since = user.places().version();
        let session = services::call(&self.inner.nats.service, &request, SERVICE_TIMEOUT).await?;
        let (feeds, new) = self.take_over(user, &session, since);
        let mut ready = true;
        for feed in feeds {
            ready = ready && self.hears_all(feed.line, READY).await;
        }
        // Told in any case: the next load does not count them as new any more.
        for group in new {
            user.deliver(&Delivery::Joined(group));
        }
        if ready {
            return Ok(session);
        }
        Err(WireError::new(
            Code::Unavailable,
            "the server's own network is disturbed; try again soon",
        )
        .retry_after_ms(1_000))
    }

    /// Answers the feeds of all groups, and the groups that other sessions did not know of.
    fn take_over(
        &self,
        user: &Arc<UserFeed>,
        session: &Session,
        since: u64,
    ) -> (Vec<Arc<GroupFeed>>, Vec<GroupId>) {
        let mut state = self.state();
        if !is_current(&state, user) {
            return (vec![], vec![]);
        }
        let (new, gone, groups, first) = {
            let mut places = user.places();
            let first = !places.is_loaded();
            if first {
                places.told.clone_from(&session.watermarks);
            }
            let (new, gone) = places.load(&session.groups, since);
            (new, gone, places.groups(), first)
        };
        let changed = !new.is_empty() || !gone.is_empty();
        if changed && !first {
            self.watches().moved(user.user);
        }
        for group in gone {
            state.leave(self, group, user.user);
            user.deliver(&Delivery::Left(group));
        }
        let feeds = groups
            .into_iter()
            .map(|group| state.enter(self, group, user))
            .collect();
        (feeds, if first { vec![] } else { new })
    }
}

fn is_current(state: &super::hub::State, user: &Arc<UserFeed>) -> bool {
    state
        .users
        .get(&user.user)
        .is_some_and(|current| Arc::ptr_eq(current, user))
}

/// Whether a user whose groups these are may hear a conversation.
pub(super) fn hears(conversation: &Conversation, user: natterjack_nats::UserId, places: &Places) -> bool {
    match conversation {
        Conversation::Group(group) => places.member(*group) == Some(true),
        other => other.admits(user) == Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(n: u64) -> GroupId {
        GroupId::from_parts(n, 0)
    }

    #[test]
    fn the_order_of_changes_decides_and_not_when_they_are_heard_of() {
        let mut places = Places::default();
        assert_eq!(places.member(group(1)), None);
        places.load(&[], 0);
        assert_eq!(places.change(group(1), true, 10), Some(true));
        assert_eq!(places.change(group(1), true, 10), Some(false), "told twice");
        assert_eq!(places.change(group(1), false, 20), Some(true));
        assert_eq!(places.change(group(1), true, 10), None, "old news");
        assert_eq!(places.member(group(1)), Some(false));
        assert_eq!(places.change(group(1), true, 30), Some(true));
    }

    #[test]
    fn a_load_does_not_undo_what_happened_since_it_began() {
        let mut places = Places::default();
        places.load(&[group(1), group(2)], 0);
        let since = places.version();
        places.change(group(1), false, 10);
        places.change(group(3), true, 10);
        // Read before the two changes, and group 2 was lost while NATS was away.
        let (new, gone) = places.load(&[group(1), group(4)], since);
        assert_eq!((new, gone), (vec![group(4)], vec![group(2)]));
        let mut groups = places.groups();
        groups.sort();
        assert_eq!(groups, [group(3), group(4)]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut places = Places::default();
        for n in 0..10_000 {
            places.change(group(n), n % 2 == 0, n);
        }
        assert!(places.changes.len() <= CHANGES_MAX);
    }
}
