//! Takes the events of one client into the record.

use std::collections::HashMap;

use natterjack_client::{Event, Events};
use natterjack_nats::{Conversation, wire::Message};

use super::{Journal, Receiver, Recorder, receiver};

/// Takes the events of one client.
pub(super) struct Listener {
    pub(super) recorder: Recorder,
    pub(super) device: String,
    pub(super) resumes: bool,
    /// How often a conversation was truncated: a new stretch begins with each.
    pub(super) cut: HashMap<Conversation, u32>,
}

impl Listener {
    pub(super) async fn run(mut self, mut events: Events) {
        let mut new = !self.resumes;
        while let Some(event) = events.next().await {
            let recorder = self.recorder.clone();
            let mut record = recorder.record();
            match event {
                Event::Ready(first) => {
                    record.ready.insert(self.device.clone());
                    if std::mem::take(&mut new) {
                        for summary in &first.conversations {
                            record
                                .journal
                                .listens(self.stretch(summary.conversation), summary.head);
                        }
                    }
                }
                Event::Acked { id, seq, .. } => {
                    record.open.remove(&id);
                    record.journal.acked(id, seq);
                }
                Event::SendFailed { id, error, .. } => {
                    record.open.remove(&id);
                    record.failed.insert(id, error);
                }
                Event::Message(message) => self.delivered(&mut record.journal, &message),
                Event::Truncated {
                    conversation,
                    cursor,
                    head,
                } => {
                    record.journal.stops(self.stretch(conversation), cursor);
                    *self.cut.entry(conversation).or_default() += 1;
                    record.journal.listens(self.stretch(conversation), head);
                }
                Event::Stopped(reason) => {
                    record.stopped.insert(self.device.clone(), reason);
                }
                _ => {}
            }
        }
    }

    fn delivered(&self, journal: &mut Journal, message: &Message) {
        let receiver = self.stretch(message.conversation);
        let joined = !matches!(message.conversation, Conversation::Dm(_));
        if joined && !self.resumes && !journal.deliveries.contains_key(&receiver) {
            // A group that was joined since: what was there before need not be given.
            journal.listens(receiver.clone(), message.prev);
        }
        journal.delivered(&receiver.device, message);
    }

    fn stretch(&self, conversation: Conversation) -> Receiver {
        match self.cut.get(&conversation) {
            Some(count) => receiver(&format!("{} #{count}", self.device), conversation),
            None => receiver(&self.device, conversation),
        }
    }
}
