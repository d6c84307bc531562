//! The map: watched users, the sessions that watch them, and the buckets that are heard for it.

mod doubts;
mod frames;

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    mem,
};

use natterjack_nats::{
    UserId,
    services::presence::Known,
    subjects::presence::{self, BUCKETS},
    wire::{PresenceRecord, Privacy},
};
use slab::Slab;

pub(super) use doubts::Unsure;
use frames::{Frames, encode};

use super::{
    Buckets, Heard, Key,
    session::{ASKED, OWED, Session},
};
use crate::{
    live::Outlet,
    presence::privacy::{Seen, shown},
};

/// Most people who are watched on one edge, made-up ones among them: some hundred bytes each.
const WATCHED_MAX: usize = 1_000_000;
/// What room a map may keep beyond what it holds, in entries.
const ROOM_KEPT: usize = 1_024;

/// A watched user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) seen: Option<Seen>,
    /// Of the entry that `seen` was read from.
    revision: u64,
    /// Asked in this epoch: since then, changes are heard.
    epoch: u32,
    /// Slots of the sessions that watch, and of those that are this user's own and watch anybody.
    pub(super) watchers: Vec<u32>,
}

/// A bucket that is heard, for so many users.
#[derive(Debug)]
struct Bucket {
    heard: Heard,
    users: usize,
}

/// A list that was put together, and what has to be known before it can be answered.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) key: Key,
    /// Once it has passed, all changes are heard.
    pub(super) ticket: u64,
    /// Of whom nothing is known, or nothing that is sure.
    pub(super) unknown: Vec<UserId>,
    /// Of the question that is asked of them.
    pub(super) epoch: u32,
}

/// What was done since it was counted last: frames that went into queues, and such as did not.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) told: u64,
    pub(super) put_off: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) users: HashMap<UserId, User>,
    pub(super) sessions: Slab<Session>,
    heard: Vec<Option<Bucket>>,
    buckets: Box<dyn Buckets>,
    /// When which session is to ask who is related.
    pub(super) agenda: BTreeSet<(u64, u32)>,
    pub(super) woken: bool,
    /// Users who were asked for when they were new, to be asked for once more.
    rechecks: VecDeque<(u64, Vec<UserId>)>,
    /// Counts the reasons to doubt all that is known.
    epoch: u32,
    unsure: bool,
    serial: u32,
    counts: Counts,
}

impl State {
    pub(super) fn new(buckets: Box<dyn Buckets>) -> Self {
        Self {
            users: HashMap::new(),
            sessions: Slab::new(),
            heard: (0..BUCKETS).map(|_| None).collect(),
            buckets,
            agenda: BTreeSet::new(),
            woken: false,
            rechecks: VecDeque::new(),
            epoch: 1,
            unsure: false,
            serial: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn is_watched(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    pub(super) fn len(&self) -> (usize, usize) {
        (self.users.len(), self.sessions.len())
    }

    pub(super) fn counts(&mut self) -> Counts {
        mem::take(&mut self.counts)
    }

    pub(super) fn slot(&self, key: Key) -> Option<usize> {
        let session = self.sessions.get(key.slot())?;
        (session.serial == key.serial()).then(|| key.slot())
    }

    /// Puts a list together, which is told nothing until [`Self::answer`]. The viewer is watched too, as
    /// what others may see of them decides what they see. `None` if there are more lists than can be.
    pub(super) fn prepare(
        &mut self,
        viewer: UserId,
        outlet: Outlet,
        mut users: Vec<UserId>,
    ) -> Option<Prepared> {
        users.sort_unstable();
        users.dedup();
        if self.users.len() + users.len() > WATCHED_MAX {
            return None;
        }
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        let slot = u32::try_from(self.sessions.vacant_key()).ok()?;
        let key = Key::new(slot, self.serial)?;
        let session = Session::new(self.serial, viewer, outlet, users);
        let (mut ticket, mut unknown) = (0, vec![]);
        for user in with_viewer(&session) {
            ticket = ticket.max(self.hear(user));
            let epoch = self.epoch;
            let entry = self.users.entry(user).or_insert_with(|| User {
                seen: None,
                revision: 0,
                epoch: 0,
                watchers: vec![],
            });
            entry.watchers.push(slot);
            if entry.epoch != epoch {
                unknown.push(user);
            }
        }
        let own = self.users.get(&viewer).and_then(|own| own.seen);
        let slot = self.sessions.insert(session);
        self.sessions[slot].viewer.privacy = own.map(|own| own.privacy);
        Some(Prepared {
            key,
            ticket,
            unknown,
            epoch: self.epoch,
        })
    }

    /// Hears a user's bucket, once more if the user is new; answers the ticket.
    fn hear(&mut self, user: UserId) -> u64 {
        let bucket = presence::bucket(user);
        let is_new = usize::from(!self.users.contains_key(&user));
        let place = &mut self.heard[usize::from(bucket)];
        let of_bucket = place.get_or_insert_with(|| Bucket {
            heard: self.buckets.subscribe(bucket),
            users: 0,
        });
        of_bucket.users += is_new;
        of_bucket.heard.ticket
    }

    /// The list takes the place of an older one of its session, and is answered with all that the
    /// viewer may see; from here on changes are told.
    pub(super) fn answer(&mut self, key: Key, old: Option<Key>, id: &str) {
        if let Some(old) = old {
            self.leave(old);
        }
        let Some(slot) = self.slot(key) else {
            return;
        };
        let session = &mut self.sessions[slot];
        session.live = true;
        session.answer = Some(id.into());
        session.owe_all();
        self.reschedule(slot);
        self.tell_owed(slot);
    }

    pub(super) fn leave(&mut self, key: Key) {
        if let Some(slot) = self.slot(key) {
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: usize) {
        let session = self.sessions.remove(slot);
        if let Some(due_ms) = session.relations.due_ms {
            self.agenda.remove(&(due_ms, slot as u32));
        }
        for user in with_viewer(&session) {
            let Entry::Occupied(mut entry) = self.users.entry(user) else {
                continue;
            };
            let watchers = &mut entry.get_mut().watchers;
            if let Some(at) = watchers.iter().position(|watcher| *watcher as usize == slot) {
                watchers.swap_remove(at);
            }
            if !watchers.is_empty() {
                continue;
            }
            entry.remove();
            let place = &mut self.heard[usize::from(presence::bucket(user))];
            if let Some(bucket) = place {
                bucket.users -= 1;
                if bucket.users == 0 {
                    self.buckets.unsubscribe(bucket.heard);
                    *place = None;
                }
            }
        }
        if self.users.capacity() > 4 * self.users.len() + ROOM_KEPT {
            self.users.shrink_to(2 * self.users.len());
        }
        if self.sessions.is_empty() {
            self.sessions = Slab::new();
        }
    }

    /// Takes in a record, if it is newer than what is known, and tells whoever sees a difference.
    /// Answers how many were told.
    pub(super) fn learn(&mut self, user: UserId, revision: u64, record: PresenceRecord) -> usize {
        let Some(entry) = self.users.get_mut(&user) else {
            return 0;
        };
        if entry.seen.is_some() && revision <= entry.revision {
            return 0;
        }
        let new = Seen::from(record);
        let old = entry.seen.replace(new);
        entry.revision = revision;
        let (mut frames, mut own, mut due) = (Frames::new(user, new), vec![], vec![]);
        let (mut told, mut put_off) = (0, 0);
        for slot in &entry.watchers {
            let Some(session) = self.sessions.get_mut(*slot as usize) else {
                continue;
            };
            if session.viewer.user == user {
                let hides = |privacy: Option<Privacy>| privacy.is_none_or(|own| own == Privacy::Nobody);
                let hid = hides(session.viewer.privacy.replace(new.privacy));
                if hid != hides(session.viewer.privacy) {
                    session.owe_all();
                    own.push(*slot as usize);
                    continue;
                }
            }
            let Some(index) = session.index(user) else {
                continue;
            };
            let before = session.sees(index, old);
            if session.asks(index, Some(new)) && !session.asks(index, old) {
                session.forget(index);
                due.push(*slot as usize);
            }
            let after = session.sees(index, Some(new));
            if session.live && differ(before, after) {
                let count = if session.tell(index, || frames.of(after.is_some())) {
                    &mut told
                } else {
                    &mut put_off
                };
                *count += 1;
            }
        }
        self.counts.told += told;
        self.counts.put_off += put_off;
        for slot in due {
            self.reschedule(slot);
        }
        let changed = own.len();
        for slot in own {
            self.tell_owed(slot);
        }
        told as usize + changed
    }

    /// What was asked for in an epoch: sure, unless there was a reason for doubt since.
    pub(super) fn learn_all(&mut self, mut known: Vec<Known>, epoch: u32) {
        // Who shows nobody anything is shown nobody: that is known before they are told of others.
        known.sort_by_key(|known| known.record.privacy != Privacy::Nobody);
        for Known {
            user,
            revision,
            record,
        } in known
        {
            self.learn(user, revision, record);
            if let Some(entry) = self.users.get_mut(&user) {
                entry.epoch = epoch;
            }
        }
    }

    /// Tells a session all that it is owed, in one frame.
    pub(super) fn tell_owed(&mut self, slot: usize) {
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        if !session.live || !(session.owes || session.answer.is_some()) {
            return;
        }
        let tell = |index: usize| {
            let user = session.users()[index];
            let seen = self.users.get(&user).and_then(|entry| entry.seen);
            shown(user, session.sees(index, seen).as_ref())
        };
        let users = session.marked(OWED).into_iter().map(tell).collect();
        let frame = encode(session.answer.as_deref().map(Into::into), users);
        if frame.is_some_and(|frame| session.outlet.offer(frame)) {
            session.settle();
            self.counts.told += 1;
            if session.users().is_empty() {
                self.remove(slot);
            }
        } else {
            self.counts.put_off += 1;
        }
    }

    pub(super) fn catch_up(&mut self, key: Key) {
        if let Some(slot) = self.slot(key) {
            self.tell_owed(slot);
        }
    }

    /// The record of a user, as far as it is known.
    pub(super) fn seen(&self, user: UserId) -> Option<Seen> {
        self.users.get(&user)?.seen
    }

    /// Whether it has to be asked who of a list is related.
    pub(super) fn asks_any(&self, session: &Session) -> bool {
        let unasked = |index: &usize| !session.is(*index, ASKED);
        let mut unasked = (0..session.users().len()).filter(unasked);
        unasked.any(|index| session.asks(index, self.seen(session.users()[index])))
    }
}

/// The list and, unless it is empty, the viewer: each once.
fn with_viewer(session: &Session) -> Vec<UserId> {
    let mut users = session.users().to_vec();
    let viewer = session.viewer.user;
    if !users.is_empty() && session.index(viewer).is_none() {
        users.push(viewer);
    }
    users
}

/// Whether a viewer can tell one from the other.
pub(super) fn differ(before: Option<Seen>, after: Option<Seen>) -> bool {
    let visible = |seen: Seen| (seen.state, seen.last_seen);
    before.map(visible) != after.map(visible)
}
