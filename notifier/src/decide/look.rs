//! A look at a text: what was found for whom, and how that is told in the trace.

use std::collections::BTreeMap;

use natterjack_nats::{
    Conversation, DeviceId, UserId,
    wire::{PushPreview, PushReason, PushTrace, Stored, Verdict},
};

use natterjack_runtime::trace::Span;

use super::verdict::{Moment, Standing};
use crate::source::Delivered;

/// Most users of one entry of the trace: some 150 KB.
const TRACE_USERS_MAX: usize = 5_000;

/// A text that is due.
#[derive(Debug)]
pub struct Text {
    /// From the consumer.
    pub delivered: Delivered,
    /// Where.
    pub conversation: Conversation,
    /// What.
    pub stored: Stored,
}

/// A text while it is decided.
#[derive(Debug)]
pub struct Look {
    /// Which.
    pub text: Text,
    /// When.
    pub moment: Moment,
    /// It is looked at once more.
    pub again: bool,
    /// Where the message is traced, its decision.
    pub span: Span,
    verdicts: BTreeMap<PushReason, (Vec<UserId>, Vec<DeviceId>)>,
}

/// A user for whom the message alone does not decide.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The look, by its place in the batch.
    pub look: usize,
    /// Who.
    pub user: UserId,
    /// How they stand to it.
    pub standing: Standing,
    /// It mentions them.
    pub mention: bool,
    /// How much their devices are told.
    pub preview: PushPreview,
}

impl Look {
    /// Begins one.
    pub const fn new(text: Text, moment: Moment, span: Span) -> Self {
        Self {
            text,
            moment,
            again: false,
            span,
            verdicts: BTreeMap::new(),
        }
    }

    /// The text's place.
    pub const fn seq(&self) -> u64 {
        self.text.delivered.seq
    }

    /// It is decided for a user.
    pub fn conclude(&mut self, user: UserId, reason: PushReason, devices: &[DeviceId]) {
        let (users, pushed) = self.verdicts.entry(reason).or_default();
        users.push(user);
        pushed.extend(devices);
    }

    /// How many users got which verdict.
    pub fn counts(&self) -> impl Iterator<Item = (PushReason, usize)> {
        self.verdicts
            .iter()
            .map(|(reason, (users, _))| (*reason, users.len()))
    }

    /// The entries of the trace; one, unless the group is huge.
    pub fn traces(&self) -> Vec<PushTrace> {
        let entry = |verdicts| PushTrace::Decided {
            seq: self.seq(),
            id: self.text.stored.id,
            at: self.text.delivered.stored_ms + self.moment.age_ms,
            age_ms: self.moment.age_ms,
            verdicts,
        };
        let users: usize = self.counts().map(|(_, users)| users).sum();
        let verdict = |reason: &PushReason, users: &[UserId], devices: &[DeviceId]| Verdict {
            reason: *reason,
            users: users.to_vec(),
            devices: devices.to_vec(),
        };
        if users <= TRACE_USERS_MAX {
            let verdicts = self.verdicts.iter();
            let verdicts = verdicts.map(|(reason, (users, devices))| verdict(reason, users, devices));
            return vec![entry(verdicts.collect())];
        }
        let mut entries = Vec::new();
        for (reason, (users, devices)) in &self.verdicts {
            let mut devices = devices.chunks(TRACE_USERS_MAX);
            entries.extend(
                users
                    .chunks(TRACE_USERS_MAX)
                    .map(|users| entry(vec![verdict(reason, users, devices.next().unwrap_or_default())])),
            );
            entries.extend(devices.map(|devices| entry(vec![verdict(reason, &[], devices)])));
        }
        entries
    }
}
