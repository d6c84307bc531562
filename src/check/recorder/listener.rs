//! Takes the events of one client into the record.

use natterjack_client::{Event, Events, SendFailure};
use natterjack_nats::{
    Conversation, UserId,
    wire::{Message, Ready},
};
use tokio::sync::watch;

use super::{Record, Recorder};

/// Takes the events of one client.
pub(super) struct Listener {
    pub(super) recorder: Recorder,
    pub(super) device: String,
    pub(super) user: UserId,
    /// Whether events stay where they are for now.
    pub(super) gate: watch::Receiver<bool>,
    pub(super) resumes: bool,
}

impl Listener {
    pub(super) async fn run(mut self, mut events: Events) {
        let mut new = !self.resumes;
        loop {
            // Without its owner, nobody holds it any more.
            let _ = self.gate.wait_for(|held| !held).await;
            let Some(event) = events.next().await else {
                return;
            };
            let recorder = self.recorder.clone();
            self.take(event, &mut new, &mut recorder.record());
        }
    }

    fn take(&self, event: Event, new: &mut bool, record: &mut Record) {
        let at = record.began.elapsed();
        match event {
            Event::Disconnected { .. } | Event::Moving { .. } => {
                record.gaps.entry(self.device.clone()).or_default().begins();
            }
            Event::Ready(first) => {
                record.gaps.entry(self.device.clone()).or_default().ends();
                record.ready.insert(self.device.clone());
                self.ready(&first, std::mem::take(new), record);
            }
            Event::Acked { id, seq, latency, .. } => {
                record.open.remove(&id);
                record.latencies.push(latency);
                record.journal.acked(id, seq, at);
            }
            Event::SendFailed { id, error, .. } => {
                record.open.remove(&id);
                if let SendFailure::Refused(error) = &error {
                    record.journal.refused(id, error.to_string());
                }
                record.failed.insert(id, error);
            }
            Event::Message(message) => self.delivered(record, &message),
            Event::Receipts {
                conversation,
                cursors,
            } => {
                for told in cursors {
                    record.journal.heard_of(told.user, conversation, told.cursor);
                }
            }
            Event::Truncated {
                conversation,
                cursor,
                head,
            } => {
                record
                    .journal
                    .stops(record.stretch(&self.device, conversation), cursor);
                *record.cut.entry((self.device.clone(), conversation)).or_default() += 1;
                record
                    .journal
                    .listens(record.stretch(&self.device, conversation), head);
            }
            Event::Presence { users } => {
                for told in users {
                    record.journal.shown(&self.device, told.user, told.state);
                }
            }
            Event::Stopped(reason) => {
                record.stopped.insert(self.device.clone(), reason);
            }
            _ => {}
        }
    }

    fn ready(&self, first: &Ready, new: bool, record: &mut Record) {
        for summary in &first.conversations {
            record.journal.listed(&self.device, self.user, summary);
            if new {
                let receiver = record.stretch(&self.device, summary.conversation);
                record.journal.listens(receiver, summary.head);
            }
        }
    }

    fn delivered(&self, record: &mut Record, message: &Message) {
        let at = record.began.elapsed();
        let receiver = record.stretch(&self.device, message.conversation);
        let joined = matches!(message.conversation, Conversation::Group(_));
        let log = matches!(message.conversation, Conversation::User(_)) && !self.resumes;
        if (joined || log) && !record.journal.deliveries.contains_key(&receiver) {
            // A group that was joined since: what was there before need not be given.
            record.journal.listens(receiver.clone(), message.prev);
        }
        record.journal.delivered(&receiver.device, message, at);
    }
}
