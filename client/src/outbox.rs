//! What is written but not yet acknowledged.
//!
//! One lane a conversation, first in first out. An id is kept across retries and reconnects, so
//! that sending again is harmless; after any failure a lane goes on from its first open message,
//! so that a connection which breaks cannot change the order.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use natterjack_nats::{
    Conversation, MessageId,
    wire::{ClientFrame, Code, WireError},
};
use rand::Rng;

use crate::{backoff::Backoff, draft::Draft};

/// A message with its id and the moment when the application handed it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub id: MessageId,
    pub draft: Draft,
    pub queued_at: Duration,
}

#[derive(Debug)]
struct Entry {
    queued: Queued,
    /// When it was handed to the present connection; `None` if it was not, or is to go again.
    sent_at: Option<Duration>,
}

#[derive(Debug, Default)]
struct Lane {
    entries: VecDeque<Entry>,
    /// The server wants a pause: nothing new leaves before.
    retry_at: Option<Duration>,
    failures: u32,
}

/// What [`Outbox::pump`] found.
#[derive(Debug, Default)]
pub(crate) struct Pumped {
    pub frames: Vec<ClientFrame>,
    /// Those that no server would take.
    pub rejected: Vec<(Queued, WireError)>,
}

/// What became of a message that the server answered with an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not here (any more).
    Unknown,
    /// It goes again later.
    Retrying,
    /// It is over.
    Failed(Queued),
}

/// Limits of the session that holds the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub sends_in_flight_max: usize,
    pub text_chars_max: usize,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    lanes: BTreeMap<Conversation, Lane>,
    by_id: HashMap<MessageId, Conversation>,
    in_flight: usize,
    pipeline: usize,
    ack_timeout: Duration,
    backoff: Backoff,
}

impl Outbox {
    pub(crate) fn new(pipeline: usize, ack_timeout: Duration, backoff: Backoff) -> Self {
        Self {
            lanes: BTreeMap::new(),
            by_id: HashMap::new(),
            in_flight: 0,
            pipeline: pipeline.max(1),
            ack_timeout,
            backoff,
        }
    }

    /// Takes a message, whose id is not in here yet.
    pub(crate) fn push(&mut self, queued: Queued) {
        let conversation = queued.draft.conversation;
        self.by_id.insert(queued.id, conversation);
        let lane = self.lanes.entry(conversation).or_default();
        lane.entries.push_back(Entry {
            queued,
            sent_at: None,
        });
    }

    /// The message of that id, if it is in here.
    pub(crate) fn find(&self, id: MessageId) -> Option<&Queued> {
        let lane = self.lanes.get(self.by_id.get(&id)?)?;
        let entry = lane.entries.iter().find(|entry| entry.queued.id == id)?;
        Some(&entry.queued)
    }

    /// What may leave now.
    pub(crate) fn pump(&mut self, now: Duration, room: Room) -> Pumped {
        let mut pumped = Pumped::default();
        for lane in self.lanes.values_mut() {
            if lane.retry_at.is_some_and(|at| at > now) {
                continue;
            }
            lane.retry_at = None;
            let mut place = 0;
            while place < self.pipeline && self.in_flight < room.sends_in_flight_max {
                let Some(entry) = lane.entries.get_mut(place) else {
                    break;
                };
                if entry.sent_at.is_some() {
                    place += 1;
                    continue;
                }
                match frame(&entry.queued, room) {
                    Ok(frame) => {
                        entry.sent_at = Some(now);
                        self.in_flight += 1;
                        pumped.frames.push(frame);
                        place += 1;
                    }
                    Err(error) => {
                        if let Some(entry) = lane.entries.remove(place) {
                            self.by_id.remove(&entry.queued.id);
                            pumped.rejected.push((entry.queued, error));
                        }
                    }
                }
            }
        }
        self.lanes.retain(|_, lane| !lane.entries.is_empty());
        pumped
    }

    /// How many were sent over the present connection and have no answer.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The message of that id is on disk.
    pub(crate) fn acked(&mut self, id: MessageId) -> Option<Queued> {
        self.remove(id, true)
    }

    /// The server answered the message of that id with an error.
    pub(crate) fn refused(
        &mut self,
        id: MessageId,
        error: &WireError,
        now: Duration,
        rng: &mut impl Rng,
    ) -> Refused {
        if !error.retryable {
            return self.remove(id, false).map_or(Refused::Unknown, Refused::Failed);
        }
        let Some(lane) = self
            .by_id
            .get(&id)
            .and_then(|conversation| self.lanes.get_mut(conversation))
        else {
            return Refused::Unknown;
        };
        if let Some(entry) = lane.entries.iter_mut().find(|entry| entry.queued.id == id)
            && entry.sent_at.take().is_some()
        {
            self.in_flight -= 1;
        }
        let asked = Duration::from_millis(error.retry_after_ms.unwrap_or_default());
        // What the server asks for is the earliest moment; the jitter comes on top of it.
        let pause = asked.saturating_add(self.backoff.delay(lane.failures, rng));
        lane.retry_at = Some(lane.retry_at.unwrap_or_default().max(now.saturating_add(pause)));
        lane.failures = lane.failures.saturating_add(1);
        Refused::Retrying
    }

    /// Nothing that was sent over the connection will be answered any more.
    pub(crate) fn disconnected(&mut self) {
        self.in_flight = 0;
        for lane in self.lanes.values_mut() {
            // A new connection may lead to a server that has room.
            (lane.retry_at, lane.failures) = (None, 0);
            for entry in &mut lane.entries {
                entry.sent_at = None;
            }
        }
    }

    /// Messages without an answer for too long go again, under their ids.
    pub(crate) fn expire(&mut self, now: Duration) {
        let Self {
            lanes,
            in_flight,
            ack_timeout,
            ..
        } = self;
        for entry in lanes.values_mut().flat_map(|lane| &mut lane.entries) {
            if entry.sent_at.is_some_and(|at| at + *ack_timeout <= now) {
                entry.sent_at = None;
                *in_flight -= 1;
            }
        }
    }

    /// When [`Self::expire`] or [`Self::pump`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let of_lane = |lane: &Lane| {
            let sent = lane.entries.iter().filter_map(|entry| entry.sent_at).min();
            let expiry = sent.map(|at| at + self.ack_timeout);
            lane.retry_at.into_iter().chain(expiry).min()
        };
        self.lanes.values().filter_map(of_lane).min()
    }

    /// Everything, in order, for the end.
    pub(crate) fn drain(&mut self) -> Vec<Queued> {
        self.by_id.clear();
        self.in_flight = 0;
        let lanes = std::mem::take(&mut self.lanes);
        let entries = lanes.into_values().flat_map(|lane| lane.entries);
        entries.map(|entry| entry.queued).collect()
    }

    fn remove(&mut self, id: MessageId, healthy: bool) -> Option<Queued> {
        let conversation = self.by_id.remove(&id)?;
        let lane = self.lanes.get_mut(&conversation)?;
        let place = lane.entries.iter().position(|entry| entry.queued.id == id)?;
        let entry = lane.entries.remove(place)?;
        if entry.sent_at.is_some() {
            self.in_flight -= 1;
        }
        if healthy {
            lane.failures = 0;
        }
        if lane.entries.is_empty() {
            self.lanes.remove(&conversation);
        }
        Some(entry.queued)
    }
}

/// The frame of a message that a server of these limits takes. A frame beyond them would end the
/// session for good, so it never leaves.
fn frame(queued: &Queued, room: Room) -> Result<ClientFrame, WireError> {
    let text = queued.draft.sent_text();
    // A text has no more characters than bytes: most need not be counted.
    if text.len() > room.text_chars_max {
        let (chars, max) = (text.chars().count(), room.text_chars_max);
        if chars > max {
            let message = format!("the text has {chars} characters, at most {max} are allowed: shorten it");
            return Err(WireError::new(Code::TextTooLong, message));
        }
    }
    let not_sendable = || WireError::new(Code::BadRequest, "a client cannot send an event");
    queued.draft.frame(queued.id).ok_or_else(not_sendable)
}

#[cfg(test)]
mod tests;
