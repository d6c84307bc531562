//! What viewers are told, encoded.

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{
    UserId,
    wire::{ServerFrame, UserPresence},
};

use crate::presence::privacy::{Seen, shown};

/// A change as those see it who may, and as the others do; each encoded when it is first wanted.
pub(super) struct Frames {
    user: UserId,
    seen: Seen,
    encoded: [Option<Utf8Bytes>; 2],
}

impl Frames {
    pub(super) const fn new(user: UserId, seen: Seen) -> Self {
        Self {
            user,
            seen,
            encoded: [None, None],
        }
    }

    pub(super) fn of(&mut self, visible: bool) -> Option<Utf8Bytes> {
        let place = &mut self.encoded[usize::from(visible)];
        if place.is_none() {
            *place = encode(None, vec![shown(self.user, visible.then_some(&self.seen))]);
        }
        place.clone()
    }
}

pub(super) fn encode(id: Option<String>, users: Vec<UserPresence>) -> Option<Utf8Bytes> {
    match serde_json::to_string(&ServerFrame::Presence { id, users }) {
        Ok(text) => Some(text.into()),
        Err(error) => {
            tracing::error!(%error, "a frame does not encode");
            None
        }
    }
}
