//! Brings messages to their current state where edits, deletions and first copies are still
//! in different halves. Pure; the same rules as the ones by which rows are written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Kind, Message},
};

/// What Postgres knows about those whom the tail names.
#[derive(Debug, Default)]
pub struct Facts {
    /// Targets of the tail's edits and deletions.
    pub targets: BTreeMap<u64, Target>,
    /// The first copies of the tail's messages.
    pub firsts: HashMap<(UserId, MessageId), u64>,
}

/// A message that others name.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Who sent it.
    pub sender: UserId,
    /// Whether it is a text.
    pub is_text: bool,
    /// Whether it is deleted already.
    pub deleted: bool,
}

/// What the tail does to the messages of one conversation.
#[derive(Debug, Default)]
pub struct Overlay<'a> {
    firsts: HashMap<(UserId, MessageId), u64>,
    deletions: BTreeMap<u64, u64>,
    edits: BTreeMap<u64, (u64, &'a str)>,
    gone: BTreeSet<u64>,
}

impl<'a> Overlay<'a> {
    /// Judges the tail (ascending) by what is known.
    pub fn new(tail: &'a [Message], facts: &Facts) -> Self {
        let mut overlay = Self {
            firsts: facts.firsts.clone(),
            ..Self::default()
        };
        let mut targets = facts.targets.clone();
        for message in tail {
            let first = *overlay
                .firsts
                .entry((message.sender, message.id))
                .or_insert(message.seq);
            if first < message.seq {
                continue;
            }
            if message.kind == Kind::Text {
                targets.entry(message.seq).or_insert(Target {
                    sender: message.sender,
                    is_text: true,
                    deleted: false,
                });
            }
            let Some(named) = message.target.filter(|&named| named < message.seq) else {
                continue;
            };
            let Some(target) = targets.get(&named).filter(|target| target.is_text) else {
                continue;
            };
            let own = target.sender == message.sender;
            let in_group = matches!(message.conversation, Conversation::Group(_));
            match message.kind {
                Kind::Delete if own || in_group => {
                    overlay.deletions.entry(named).or_insert(message.seq);
                }
                Kind::Edit if own => {
                    if let Some(text) = &message.text {
                        overlay.edits.insert(named, (message.seq, text));
                    }
                }
                _ => {}
            }
        }
        let gone = targets
            .iter()
            .filter(|(_, target)| target.deleted)
            .map(|(seq, _)| *seq);
        overlay.gone = gone.chain(overlay.deletions.keys().copied()).collect();
        overlay
    }

    /// Applies it to messages of the conversation.
    pub fn apply(&self, messages: &mut [Message]) {
        for message in messages {
            self.apply_one(message);
        }
    }

    fn apply_one(&self, message: &mut Message) {
        let first = self.firsts.get(&(message.sender, message.id)).copied();
        match message.kind {
            Kind::Duplicate => {}
            _ if first.is_some_and(|first| first < message.seq) => {
                message.kind = Kind::Duplicate;
                message.target = first;
                (message.text, message.reply_to, message.event) = (None, None, None);
            }
            Kind::Edit if message.target.is_some_and(|target| self.gone.contains(&target)) => {
                message.text = None;
            }
            Kind::Text => {
                let deletion = self.deletions.get(&message.seq).copied();
                let edit = self.edits.get(&message.seq);
                if let Some(deleted) = message.deleted.into_iter().chain(deletion).min() {
                    (message.deleted, message.edited, message.text) = (Some(deleted), None, None);
                } else if let Some((seq, text)) = edit
                    && message.edited.is_none_or(|edited| edited < *seq)
                {
                    (message.edited, message.text) = (Some(*seq), Some((*text).to_owned()));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
