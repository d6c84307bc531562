//! Who of a list shares a conversation with its viewer: asked for those whose record says `contacts`,
//! when the list is new, when such a record is, when either of the two joined or left a group, when
//! they may have exchanged their first message, and every few minutes. As long as it is not known, it counts as no.

use std::collections::HashSet;

use natterjack_nats::UserId;

use super::{
    Key,
    session::{ASKED, RELATED},
    state::{State, differ},
};

/// When an answer is asked for again, and when it counts no more, in milliseconds.
pub(super) const REFRESH_MS: u64 = 240_000;
const AGE_MAX_MS: u64 = 300_000;
/// Pause after a question that was not answered.
pub(super) const RETRY_MS: u64 = 2_000;

/// What is to be asked for a list.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) key: Key,
    pub(super) viewer: UserId,
    pub(super) users: Vec<UserId>,
    version: u32,
    /// Whether these are all that can be asked for.
    all: bool,
    /// Unix milliseconds.
    asked_ms: u64,
}

impl State {
    /// A user has joined or left a group: what is known of who is related to them is old.
    pub(super) fn moved(&mut self, user: UserId) {
        let Some(entry) = self.users.get(&user) else {
            return;
        };
        for slot in entry.watchers.clone() {
            let slot = slot as usize;
            let Some(session) = self.sessions.get_mut(slot) else {
                continue;
            };
            let indexes = if session.viewer.user == user {
                0..session.users().len()
            } else {
                session.index(user).map_or(0..0, |index| index..index + 1)
            };
            for index in indexes {
                session.mark(index, ASKED, false);
            }
            session.relations.version = session.relations.version.wrapping_add(1);
            self.reschedule(slot);
        }
    }

    /// The first message of a 1:1 chat may just have been stored.
    pub(super) fn met(&mut self, viewer: UserId, peer: UserId) {
        let Some(entry) = self.users.get(&viewer) else {
            return;
        };
        for slot in entry.watchers.clone() {
            let slot = slot as usize;
            let Some(session) = self.sessions.get_mut(slot) else {
                continue;
            };
            let index = session.index(peer).filter(|_| session.viewer.user == viewer);
            if let Some(index) = index {
                session.mark(index, ASKED, false);
                session.relations.version = session.relations.version.wrapping_add(1);
                self.reschedule(slot);
            }
        }
    }

    /// What is to be asked for a list now, if anything; it has to be answered with [`Self::relate`].
    pub(super) fn question(&mut self, key: Key, now_ms: u64) -> Option<Question> {
        let slot = self.slot(key)?;
        self.question_of(slot, key, now_ms)
    }

    fn question_of(&mut self, slot: usize, key: Key, now_ms: u64) -> Option<Question> {
        let session = self.sessions.get(slot)?;
        let all = session.relations.refresh_ms.is_none_or(|at_ms| at_ms <= now_ms);
        let wanted = |(index, user): (usize, &UserId)| {
            let asks = (all || !session.is(index, ASKED)) && session.asks(index, self.seen(*user));
            asks.then_some(*user)
        };
        let users: Vec<_> = session.users().iter().enumerate().filter_map(wanted).collect();
        let session = self.sessions.get_mut(slot)?;
        if users.is_empty() {
            if all {
                session.relations.refresh_ms = None;
            }
            return None;
        }
        session.relations.asking = true;
        Some(Question {
            key,
            viewer: session.viewer.user,
            users,
            version: session.relations.version,
            all,
            asked_ms: now_ms,
        })
    }

    /// The next question that is due.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<Question> {
        loop {
            let (due_ms, slot) = *self.agenda.first()?;
            if due_ms > now_ms {
                return None;
            }
            self.agenda.pop_first();
            let session = self.sessions.get_mut(slot as usize)?;
            session.relations.due_ms = None;
            let key = Key::new(slot, session.serial)?;
            let question = self.question_of(slot as usize, key, now_ms);
            if question.is_some() {
                return question;
            }
            self.reschedule(slot as usize);
        }
    }

    /// When the next question is due, Unix milliseconds.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.agenda.first().map(|(due_ms, _)| *due_ms)
    }

    /// Takes in who is related; `None` if nobody could say.
    pub(super) fn relate(&mut self, question: &Question, related: Option<Vec<UserId>>, now_ms: u64) {
        let Some(slot) = self.slot(question.key) else {
            return;
        };
        self.sessions[slot].relations.asking = false;
        match related {
            // Something has happened since: it may be older than that.
            Some(_) if self.sessions[slot].relations.version != question.version => self.reschedule(slot),
            Some(related) => {
                let related: HashSet<_> = related.into_iter().collect();
                for user in &question.users {
                    self.set_related(slot, *user, related.contains(user), true);
                }
                let relations = &mut self.sessions[slot].relations;
                if question.all {
                    relations.refresh_ms = Some(question.asked_ms + REFRESH_MS);
                }
                self.reschedule(slot);
            }
            None => {
                let session = &self.sessions[slot];
                let aged_ms = AGE_MAX_MS - REFRESH_MS;
                let refresh_ms = session.relations.refresh_ms;
                let is_old = refresh_ms.is_none_or(|at_ms| at_ms + aged_ms <= now_ms);
                let users = session.users().to_vec();
                for (index, user) in users.into_iter().enumerate() {
                    if is_old || !self.sessions[slot].is(index, ASKED) {
                        self.set_related(slot, user, false, false);
                    }
                }
                self.schedule(slot, now_ms + RETRY_MS);
            }
        }
        self.tell_owed(slot);
    }

    fn set_related(&mut self, slot: usize, user: UserId, related: bool, asked: bool) {
        let seen = self.seen(user);
        let session = &mut self.sessions[slot];
        let Some(index) = session.index(user) else {
            return;
        };
        let before = session.sees(index, seen);
        session.mark(index, RELATED, related);
        session.mark(index, ASKED, asked);
        if differ(before, session.sees(index, seen)) {
            session.owe(index);
        }
    }

    /// Asks at once if there is something to ask, and otherwise when what is known has become old.
    pub(super) fn reschedule(&mut self, slot: usize) {
        let Some(session) = self.sessions.get(slot) else {
            return;
        };
        let refresh_ms = session.relations.refresh_ms;
        let due_ms = if self.asks_any(session) {
            Some(0)
        } else {
            refresh_ms
        };
        if let Some(due_ms) = due_ms {
            self.schedule(slot, due_ms);
        }
    }

    fn schedule(&mut self, slot: usize, due_ms: u64) {
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        let relations = &mut session.relations;
        if !session.live || relations.asking || relations.due_ms.is_some_and(|earlier| earlier <= due_ms) {
            return;
        }
        if let Some(later) = relations.due_ms.replace(due_ms) {
            self.agenda.remove(&(later, slot as u32));
        }
        self.agenda.insert((due_ms, slot as u32));
        self.woken = true;
    }

    /// Whether the agenda has changed.
    pub(super) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }
}
