//! What came before the session was opened.

use std::collections::{HashMap, VecDeque};

use natterjack_nats::Conversation;

use super::HELD_BYTES_MAX;
use crate::live::Delivery;

/// Deliveries that wait for the session to open; messages beyond are fetched from history.
pub(super) const EARLY_MAX: usize = 256;

/// In order, as far as it fits.
#[derive(Debug, Default)]
pub(super) struct Early {
    pub(super) deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// Heads of what did not fit.
    pub(super) missed: HashMap<Conversation, u64>,
}

impl Early {
    /// Keeps what has to be looked at again once the session is open.
    pub(super) fn keep(&mut self, delivery: Delivery) {
        match &delivery {
            Delivery::Ephemeral(_) => return,
            Delivery::Message(message) => {
                let size = message.frame.len();
                let full = self.deliveries.len() >= EARLY_MAX || self.bytes + size > HELD_BYTES_MAX;
                // Once one of a conversation did not fit, its later ones would only be held again.
                if full || self.missed.contains_key(&message.conversation) {
                    let head = self.missed.entry(message.conversation).or_default();
                    *head = message.position.seq.max(*head);
                    return;
                }
                self.bytes += size;
            }
            Delivery::Nudge(nudge) if self.deliveries.len() >= EARLY_MAX => {
                let head = self.missed.entry(nudge.conversation).or_default();
                *head = nudge.head.max(*head);
                return;
            }
            Delivery::Nudge(_)
            | Delivery::Heads(_)
            | Delivery::Joined(_)
            | Delivery::Left(_)
            | Delivery::Room => {}
        }
        self.deliveries.push_back(delivery);
    }
}
