//! One session's list: whom it watches, and per user what it needs to know beside what the map has.

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{UserId, wire::Privacy};

use crate::{
    live::Outlet,
    presence::privacy::{Seen, Viewer},
};

/// The user shares a conversation with the viewer.
pub(super) const RELATED: u8 = 1;
/// Whether they do was asked, and nothing that may change it has happened since.
pub(super) const ASKED: u8 = 2;
/// What the session was told last, if anything, is not what it sees now: to be told when there is room.
pub(super) const OWED: u8 = 4;

/// A list. 16 bytes for each watched user, one for its marks, and four in the user's own entry.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) serial: u32,
    pub(super) viewer: Viewer,
    pub(super) outlet: Outlet,
    /// Ascending.
    users: Box<[UserId]>,
    marks: Box<[u8]>,
    /// Whether it is answered, so that changes are told from now on.
    pub(super) live: bool,
    /// The id of the request, until its answer is in the queue.
    pub(super) answer: Option<Box<str>>,
    /// Whether anything is [`OWED`].
    pub(super) owes: bool,
    pub(super) relations: Relations,
}

/// When to ask who shares a conversation with the viewer. Times are Unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// When to ask next; in the map's agenda under this time.
    pub(super) due_ms: Option<u64>,
    /// When everything that is known is to be asked again.
    pub(super) refresh_ms: Option<u64>,
    /// Counts what may have changed, so that an answer from before is not taken for one from after.
    pub(super) version: u32,
    /// Whether the question is under way.
    pub(super) asking: bool,
}

impl Session {
    /// `users` is ascending and without repetitions.
    pub(super) fn new(serial: u32, viewer: UserId, outlet: Outlet, users: Vec<UserId>) -> Self {
        let marks = vec![0; users.len()].into_boxed_slice();
        Self {
            serial,
            viewer: Viewer {
                user: viewer,
                privacy: None,
            },
            outlet,
            users: users.into_boxed_slice(),
            marks,
            live: false,
            answer: None,
            owes: false,
            relations: Relations::default(),
        }
    }

    pub(super) fn users(&self) -> &[UserId] {
        &self.users
    }

    pub(super) fn index(&self, user: UserId) -> Option<usize> {
        self.users.binary_search(&user).ok()
    }

    pub(super) fn is(&self, index: usize, mark: u8) -> bool {
        self.marks[index] & mark != 0
    }

    pub(super) fn mark(&mut self, index: usize, mark: u8, set: bool) {
        if set {
            self.marks[index] |= mark;
        } else {
            self.marks[index] &= !mark;
        }
    }

    /// What the viewer may see of the user at an index: nothing of whom nothing is known.
    pub(super) fn sees(&self, index: usize, seen: Option<Seen>) -> Option<Seen> {
        let related = self.is(index, RELATED);
        seen.filter(|seen| self.viewer.sees(self.users[index], seen.privacy, related))
    }

    /// Notes that the session is to be told of the user at an index.
    pub(super) fn owe(&mut self, index: usize) {
        self.mark(index, OWED, true);
        self.owes = true;
    }

    /// Notes that it is to be told of everybody.
    pub(super) fn owe_all(&mut self) {
        for mark in &mut self.marks {
            *mark |= OWED;
        }
        self.owes = true;
    }

    /// Tells of one user, or notes that it is owed. Whether it was told.
    pub(super) fn tell(&mut self, index: usize, frame: impl FnOnce() -> Option<Utf8Bytes>) -> bool {
        // The answer tells of everybody, and comes first.
        let told = self.answer.is_none() && frame().is_some_and(|frame| self.outlet.offer(frame));
        if told {
            self.mark(index, OWED, false);
        } else {
            self.owe(index);
        }
        told
    }

    /// The indexes of all with a mark.
    pub(super) fn marked(&self, mark: u8) -> Vec<usize> {
        let all = 0..self.users.len();
        all.filter(|index| self.is(*index, mark)).collect()
    }

    /// Nothing is owed any more.
    pub(super) fn settle(&mut self) {
        for mark in &mut self.marks {
            *mark &= !OWED;
        }
        self.owes = false;
        self.answer = None;
    }

    /// The user at an index has a record now that asks who is related, which no earlier one did: what
    /// is known counts no more.
    pub(super) fn forget(&mut self, index: usize) {
        self.mark(index, RELATED | ASKED, false);
        self.relations.version = self.relations.version.wrapping_add(1);
    }

    /// Whether the setting makes a difference that has to be asked for.
    pub(super) fn asks(&self, index: usize, seen: Option<Seen>) -> bool {
        self.users[index] != self.viewer.user && seen.is_some_and(|seen| seen.privacy == Privacy::Contacts)
    }
}
