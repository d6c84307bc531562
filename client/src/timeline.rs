//! The proof that nothing was missed.
//!
//! Per conversation there is one cursor: the highest sequence up to which everything was shown to
//! the application. A message whose predecessor lies beyond the cursor reveals a gap: it is held
//! back until history has told what lies between.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::{
    Conversation,
    wire::{HistoryQuery, Message, Page, WireError},
};
use rand::Rng;

use crate::backoff::Backoff;

mod repair;

use repair::{Repair, Verdict};

/// What is to be shown: messages, then perhaps a gap that stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub messages: Vec<Message>,
    /// Cursor and head of a gap that could not be closed.
    pub truncated: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Track {
    cursor: u64,
    /// The cursor came from a list that was read beside the live tail: the first live message
    /// decides, whatever it is.
    soft: bool,
    repair: Option<Box<Repair>>,
}

#[derive(Debug)]
pub(crate) struct Timeline {
    tracks: BTreeMap<Conversation, Track>,
    /// Conversations with a repair; few, so that asking for the next deadline is cheap.
    repairing: Vec<Conversation>,
    backoff: Backoff,
}

impl Timeline {
    pub(crate) const fn new(backoff: Backoff) -> Self {
        Self {
            tracks: BTreeMap::new(),
            repairing: Vec::new(),
            backoff,
        }
    }

    /// All before `cursor` is known. A cursor that is there already stays.
    pub(crate) fn know(&mut self, conversation: Conversation, cursor: u64, soft: bool) {
        self.tracks.entry(conversation).or_insert(Track {
            cursor,
            soft,
            repair: None,
        });
    }

    /// The cursors, for the next `resume`.
    pub(crate) fn cursors(&self) -> BTreeMap<Conversation, u64> {
        let cursor = |(conversation, track): (&Conversation, &Track)| (*conversation, track.cursor);
        self.tracks.iter().map(cursor).collect()
    }

    /// A message arrived, live or replayed.
    pub(crate) fn arrived(&mut self, message: Message, now: Duration) -> Shown {
        let (seq, prev, conversation) = (message.seq, message.prev, message.conversation);
        let Some(track) = self.tracks.get_mut(&conversation) else {
            // The server answers for what came before the first message of a conversation.
            self.know(conversation, seq, false);
            return Shown::of(vec![message]);
        };
        if std::mem::take(&mut track.soft) {
            track.cursor = seq;
            return Shown::of(vec![message]);
        }
        if seq <= track.cursor {
            return Shown::default();
        }
        if let Some(repair) = &mut track.repair {
            repair.hold(message);
            return Shown::default();
        }
        // 0 is "none that the stream still knows": nothing is proven unless there never was one.
        if prev <= track.cursor && (prev > 0 || track.cursor == 0) {
            track.cursor = seq;
            return Shown::of(vec![message]);
        }
        let mut repair = Repair::new(now);
        repair.hold(message);
        track.repair = Some(Box::new(repair));
        self.repairing.push(conversation);
        Shown::default()
    }

    /// The server asks whether everything up to `head` is here: the cursor if it is; if not, history is
    /// asked for what lies between.
    pub(crate) fn nudged(&mut self, conversation: Conversation, head: u64, now: Duration) -> Option<u64> {
        // A conversation of which nothing was heard: as with a first message, the server answers for
        // what came before.
        self.know(conversation, head.saturating_sub(1), false);
        let track = self.tracks.get_mut(&conversation)?;
        if track.cursor >= head {
            return Some(track.cursor);
        }
        track.soft = false;
        if track.repair.is_none() {
            self.repairing.push(conversation);
        }
        let repair = track.repair.get_or_insert_with(|| Box::new(Repair::new(now)));
        repair.aim(head);
        None
    }

    /// The server said how far it replays.
    pub(crate) fn truncated(&mut self, conversation: Conversation, head: u64) -> Shown {
        self.know(conversation, head, false);
        let Some(track) = self.tracks.get_mut(&conversation) else {
            return Shown::default();
        };
        track.cursor = track.cursor.max(head);
        track.soft = false;
        let shown = track.repair.as_mut().map(|repair| {
            let shown = repair.release(&mut track.cursor, head);
            (shown, repair.closed(track.cursor))
        });
        match shown {
            Some((messages, closed)) => {
                if closed {
                    self.end_repair(conversation);
                }
                Shown::of(messages)
            }
            None => Shown::default(),
        }
    }

    /// The history requests that are due, at most `room`.
    pub(crate) fn due(&mut self, now: Duration, room: usize) -> Vec<HistoryQuery> {
        let mut queries = Vec::new();
        for conversation in &self.repairing {
            let Some(track) = self.tracks.get_mut(conversation) else {
                continue;
            };
            if queries.len() < room
                && let Some(repair) = &mut track.repair
                && repair.ask(now)
            {
                queries.push(HistoryQuery {
                    conversation: *conversation,
                    before: None,
                    after: Some(track.cursor),
                    around: None,
                    at: None,
                    limit: None,
                });
            }
        }
        queries
    }

    /// When a request is due next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let of = |conversation| self.tracks.get(conversation)?.repair.as_ref()?.due();
        self.repairing.iter().filter_map(of).min()
    }

    /// History answered.
    pub(crate) fn page(&mut self, page: Page, now: Duration, rng: &mut impl Rng) -> Shown {
        let (conversation, head) = (page.conversation, page.head);
        let Some(track) = self.tracks.get_mut(&conversation) else {
            return Shown::default();
        };
        let Some(repair) = &mut track.repair else {
            return Shown::default();
        };
        let before = track.cursor;
        let mut messages = page.messages;
        messages.retain(|message| {
            let fresh = message.seq > track.cursor;
            track.cursor = track.cursor.max(message.seq);
            fresh
        });
        // History is the authority: where it says that there is no more, all up to its head is
        // known, even if this user may not see the messages at the end.
        let known = if page.more_after { track.cursor } else { head };
        messages.extend(repair.release(&mut track.cursor, known));
        let progress = track.cursor > before;
        let verdict = repair.after_page(track.cursor, progress, page.more_after, now, self.backoff, rng);
        self.conclude(conversation, Shown::of(messages), verdict)
    }

    /// History could not answer: `None` if it did not in time.
    pub(crate) fn refused(
        &mut self,
        conversation: Conversation,
        error: Option<&WireError>,
        now: Duration,
        rng: &mut impl Rng,
    ) -> Shown {
        let backoff = self.backoff;
        let repair = self
            .tracks
            .get_mut(&conversation)
            .and_then(|track| track.repair.as_mut());
        let Some(repair) = repair else {
            return Shown::default();
        };
        let verdict = repair.after_refusal(error, now, backoff, rng);
        self.conclude(conversation, Shown::default(), verdict)
    }

    /// The connection is gone: the next one resumes from the cursors, so that no repair is needed.
    pub(crate) fn disconnected(&mut self) {
        for conversation in std::mem::take(&mut self.repairing) {
            if let Some(track) = self.tracks.get_mut(&conversation) {
                track.repair = None;
            }
        }
    }

    fn conclude(&mut self, conversation: Conversation, mut shown: Shown, verdict: Verdict) -> Shown {
        match verdict {
            Verdict::GoesOn => {}
            Verdict::Closed => self.end_repair(conversation),
            Verdict::Hopeless => {
                if let Some(track) = self.tracks.get_mut(&conversation)
                    && let Some(repair) = &track.repair
                {
                    let head = repair.target().max(track.cursor);
                    shown.truncated = Some((track.cursor, head));
                    track.cursor = head;
                }
                self.end_repair(conversation);
            }
        }
        shown
    }

    fn end_repair(&mut self, conversation: Conversation) {
        self.repairing.retain(|other| *other != conversation);
        if let Some(track) = self.tracks.get_mut(&conversation) {
            track.repair = None;
        }
    }
}

impl Shown {
    fn of(messages: Vec<Message>) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
