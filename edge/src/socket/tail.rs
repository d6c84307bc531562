//! The order of what one session hears: per conversation strictly ascending, and without a hole
//! from the client's cursor on unless the client is told so.
//!
//! Pure: messages, pages and changes go in, frames and requests come out. A live message whose
//! predecessor the session does not have is held back until history has closed the gap; resuming
//! is the same thing, begun from the client's cursor.

mod catching;
mod early;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use axum::extract::ws::Utf8Bytes;
use catching::{Catching, Step};
use early::Early;
use natterjack_nats::{
    Conversation, GroupId, Shards,
    headers::Position,
    services::conversations::Session,
    wire::{Message, Page, WireError},
};

use crate::live::{Delivery, LiveMessage, Nudge};

/// Conversations that are caught up at a time.
const FETCHES_MAX: usize = 4;
/// Conversations of which a session knows its place.
const TRACKS_MAX: usize = 50_000;
/// Bytes of messages that wait for the session to open, or for a gap to be closed.
const HELD_BYTES_MAX: usize = 1 << 20;

/// What a session is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Out {
    /// Write a ready-made frame.
    Frame(Utf8Bytes),
    /// Write a message from history.
    Message(Box<Message>),
    /// Tell the client that a conversation goes on from `head`.
    Truncated {
        /// Which.
        conversation: Conversation,
        /// Up to where the client has everything.
        cursor: u64,
        /// From where it goes on.
        head: u64,
    },
    /// Tell the client that the resume is done.
    Resumed {
        /// Whether all conversations were looked at.
        complete: bool,
    },
    /// Read the page after a sequence, and call [`Tail::fetched`].
    Fetch {
        /// Of which conversation.
        conversation: Conversation,
        /// After which sequence.
        after: u64,
    },
    /// Call [`Tail::retry`] after a pause.
    Pause {
        /// For which conversation.
        conversation: Conversation,
        /// How long, without jitter.
        ms: u64,
    },
    /// More than a session can keep: the client is to come back and resume.
    TooMuch,
}

/// One session's place in everything that it hears.
#[derive(Debug)]
pub struct Tail {
    shards: Shards,
    /// What came before the session was opened; `None` once it is.
    early: Option<Early>,
    /// Per shard: where a conversation without a track stands.
    baseline: Vec<u64>,
    tracks: HashMap<Conversation, Track>,
    waiting: VecDeque<Conversation>,
    fetching: usize,
    held_bytes: usize,
    resume: Option<Resume>,
}

#[derive(Debug)]
struct Track {
    last: u64,
    /// Whether `last` is a message's, and not the shard's baseline.
    exact: bool,
    /// The user left the group: nothing of it is delivered.
    left: bool,
    catching: Option<Box<Catching>>,
}

#[derive(Debug, Clone, Copy)]
struct Resume {
    remaining: usize,
    complete: bool,
}

impl Track {
    /// Whether a message can stand right behind the last one. A predecessor of 0 means that the
    /// stream has none any more: that proves nothing about one that was delivered long ago.
    const fn precedes(&self, position: Position) -> bool {
        position.prev <= self.last && !(position.prev == 0 && self.last > 0 && self.exact)
    }
}

impl Tail {
    /// A session that is not open yet: what comes is kept.
    #[must_use]
    pub fn new(shards: Shards) -> Self {
        Self {
            shards,
            early: Some(Early::default()),
            baseline: vec![],
            tracks: HashMap::new(),
            waiting: VecDeque::new(),
            fetching: 0,
            held_bytes: 0,
            resume: None,
        }
    }

    /// The session is open: `cursors` are what the client has, if it resumes.
    pub fn open(
        &mut self,
        session: &Session,
        cursors: Option<BTreeMap<Conversation, u64>>,
        out: &mut Vec<Out>,
    ) {
        self.baseline.clone_from(&session.watermarks);
        match cursors {
            Some(cursors) => {
                let groups: std::collections::HashSet<_> = session.groups.iter().copied().collect();
                for (conversation, cursor) in cursors {
                    let heard = match conversation {
                        Conversation::Group(group) => groups.contains(&group),
                        other => other.admits(session.user.id) == Some(true),
                    };
                    if heard && self.tracks.len() < TRACKS_MAX {
                        self.tracks.insert(conversation, Track::at(cursor));
                    }
                }
                let mut remaining = 0;
                for behind in &session.behind {
                    let track = self.tracks.entry(behind.conversation);
                    let track = track.or_insert_with(|| Track::at(behind.cursor));
                    if behind.head > track.last && track.catching.is_none() {
                        track.catching = Some(Box::new(Catching::resuming()));
                        self.waiting.push_back(behind.conversation);
                        remaining += 1;
                    }
                }
                self.resume = Some(Resume {
                    remaining,
                    complete: session.behind_complete,
                });
            }
            None => {
                for summary in &session.conversations {
                    self.tracks.insert(summary.conversation, Track::at(summary.head));
                }
                if session.log_head > 0 {
                    let log = Conversation::User(session.user.id);
                    self.tracks.insert(log, Track::at(session.log_head));
                }
            }
        }
        let early = self.early.take().unwrap_or_default();
        for delivery in early.deliveries {
            self.deliver(delivery, out);
        }
        let missed: Vec<_> = early.missed.into_iter().collect();
        self.heads(&missed);
        self.go_on(out);
    }

    /// Something from the live tail.
    pub fn deliver(&mut self, delivery: Delivery, out: &mut Vec<Out>) {
        if let Some(early) = &mut self.early {
            return early.keep(delivery);
        }
        match delivery {
            Delivery::Ephemeral(frame) => out.push(Out::Frame(frame)),
            Delivery::Message(message) => self.message(message, out),
            Delivery::Nudge(nudge) => self.nudged(nudge, out),
            Delivery::Heads(heads) => self.heads(&heads),
            Delivery::Joined(group) => self.joined(group),
            Delivery::Left(group) => self.left(group),
            // The session's own affair, before it comes here.
            Delivery::Room => {}
        }
        self.go_on(out);
    }

    fn message(&mut self, message: Arc<LiveMessage>, out: &mut Vec<Out>) {
        let conversation = message.conversation;
        if self.tracks.len() >= TRACKS_MAX && !self.tracks.contains_key(&conversation) {
            return out.push(Out::TooMuch);
        }
        let baseline = self.baseline_of(&conversation);
        let track = self
            .tracks
            .entry(conversation)
            .or_insert_with(|| Track::baseline(baseline));
        if track.left || message.position.seq <= track.last {
            return;
        }
        if let Some(catching) = &mut track.catching {
            catching.hold(message, &mut self.held_bytes);
        } else if track.precedes(message.position) {
            (track.last, track.exact) = (message.position.seq, true);
            out.push(Out::Frame(message.frame.clone()));
        } else {
            let mut catching = Box::new(Catching::gap(0));
            catching.hold(message, &mut self.held_bytes);
            track.catching = Some(catching);
            self.waiting.push_back(conversation);
        }
    }

    fn heads(&mut self, heads: &[(Conversation, u64)]) {
        for (conversation, head) in heads {
            let baseline = self.baseline_of(conversation);
            let last = self.tracks.get(conversation).map_or(baseline, |track| track.last);
            if *head > last {
                self.catch_up(*conversation, *head);
            }
        }
    }

    /// The client is asked once it was handed everything up to the head: what it lacks then, it lost
    /// itself. However many come while a gap is repaired, the repair is one, and so is the question.
    fn nudged(&mut self, nudge: Arc<Nudge>, out: &mut Vec<Out>) {
        let conversation = nudge.conversation;
        self.heads(&[(conversation, nudge.head)]);
        let track = self.tracks.get_mut(&conversation);
        match track {
            Some(track) if track.left => {}
            Some(Track {
                last,
                catching: Some(catching),
                ..
            }) if *last < nudge.head => catching.ask(nudge),
            _ => out.push(Out::Frame(nudge.frame.clone())),
        }
    }

    fn joined(&mut self, group: GroupId) {
        let conversation = Conversation::Group(group);
        if let Some(track) = self.tracks.get_mut(&conversation) {
            track.left = false;
        }
        self.catch_up(conversation, 0);
    }

    fn left(&mut self, group: GroupId) {
        let conversation = Conversation::Group(group);
        let baseline = self.baseline_of(&conversation);
        let track = self
            .tracks
            .entry(conversation)
            .or_insert_with(|| Track::baseline(baseline));
        track.left = true;
        self.end_catching(conversation);
    }

    /// Reads on in a conversation: up to `head`, or, with 0, whether or not anything is there.
    fn catch_up(&mut self, conversation: Conversation, head: u64) {
        let baseline = self.baseline_of(&conversation);
        if self.tracks.len() >= TRACKS_MAX {
            return;
        }
        let track = self
            .tracks
            .entry(conversation)
            .or_insert_with(|| Track::baseline(baseline));
        if track.left {
            return;
        }
        match &mut track.catching {
            Some(catching) => catching.tell(head),
            None => {
                track.catching = Some(Box::new(Catching::gap(head)));
                self.waiting.push_back(conversation);
            }
        }
    }

    /// The answer to [`Out::Fetch`].
    pub fn fetched(&mut self, conversation: Conversation, page: Result<Page, WireError>, out: &mut Vec<Out>) {
        self.fetching = self.fetching.saturating_sub(1);
        let track = self.tracks.get_mut(&conversation);
        if let Some(track) = track
            && let Some(catching) = track.catching.as_mut().filter(|catching| catching.is_fetching())
        {
            let step = match page {
                Ok(page) => catching.page(&mut track.last, &mut track.exact, page, &mut self.held_bytes, out),
                Err(error) => catching.failed(&error),
            };
            match step {
                Step::Done => {
                    let question = catching.question(track.last);
                    self.end_catching(conversation);
                    out.extend(question.map(Out::Frame));
                }
                Step::Again => self.waiting.push_back(conversation),
                Step::Pause(ms) => out.push(Out::Pause { conversation, ms }),
            }
        }
        self.go_on(out);
    }

    /// The pause of a conversation is over.
    pub fn retry(&mut self, conversation: Conversation, out: &mut Vec<Out>) {
        let track = self.tracks.get_mut(&conversation);
        if let Some(catching) = track.and_then(|track| track.catching.as_mut())
            && catching.resume_pause()
        {
            self.waiting.push_back(conversation);
        }
        self.go_on(out);
    }

    fn end_catching(&mut self, conversation: Conversation) {
        let track = self.tracks.get_mut(&conversation);
        let Some(catching) = track.and_then(|track| track.catching.take()) else {
            return;
        };
        self.held_bytes -= catching.held_bytes();
        if catching.resumes()
            && let Some(resume) = &mut self.resume
        {
            resume.remaining -= 1;
        }
    }

    fn go_on(&mut self, out: &mut Vec<Out>) {
        while self.fetching < FETCHES_MAX
            && let Some(conversation) = self.waiting.pop_front()
        {
            let Some(track) = self.tracks.get_mut(&conversation) else {
                continue;
            };
            if let Some(catching) = &mut track.catching
                && catching.begin()
            {
                self.fetching += 1;
                out.push(Out::Fetch {
                    conversation,
                    after: track.last,
                });
            }
        }
        if self.early.is_none()
            && let Some(resume) = self.resume.take_if(|resume| resume.remaining == 0)
        {
            out.push(Out::Resumed {
                complete: resume.complete,
            });
        }
    }

    fn baseline_of(&self, conversation: &Conversation) -> u64 {
        let shard = self.shards.of(conversation).index();
        self.baseline.get(shard).copied().unwrap_or_default()
    }
}

impl Track {
    const fn at(last: u64) -> Self {
        Self {
            last,
            exact: true,
            left: false,
            catching: None,
        }
    }

    const fn baseline(last: u64) -> Self {
        Self {
            last,
            exact: false,
            left: false,
            catching: None,
        }
    }
}
