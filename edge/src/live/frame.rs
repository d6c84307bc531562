//! A live message as it comes from NATS: routed by its subject and headers, decoded only if it is a
//! membership event.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{
    Conversation,
    headers::{self, Position},
    subjects,
    wire::{Event, Stored, splice},
};

use super::{outlet::Delivery, reader::Message};

/// A stored message, ready for every socket.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveMessage {
    /// Where it belongs.
    pub conversation: Conversation,
    /// Its place.
    pub position: Position,
    /// The `message` frame.
    pub frame: Utf8Bytes,
}

/// What a live NATS message stands for.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) conversation: Conversation,
    pub(super) delivery: Delivery,
    /// The place among the changes of its group, if it is a membership event.
    change: Option<u64>,
}

/// A membership event, and its place among the changes of its group.
pub(super) struct Happened {
    pub(super) event: Event,
    pub(super) order: u64,
}

/// Reads a live NATS message; `None` for garbage, which only an operator with access to NATS could
/// have put there.
pub(super) fn read(message: &Message<'_>) -> Option<Heard> {
    let conversation = subjects::live::parse(message.subject)?;
    let marks = headers::scan(message.headers);
    let delivery = match marks.position {
        Some(position) => Delivery::Message(Arc::new(LiveMessage {
            conversation,
            position,
            frame: splice(position, message.payload)?.into(),
        })),
        None => Delivery::Ephemeral(std::str::from_utf8(message.payload).ok()?.into()),
    };
    Some(Heard {
        conversation,
        change: (marks.is_event && marks.position.is_some()).then(|| marks.change.unwrap_or_default()),
        delivery,
    })
}

impl Heard {
    /// The membership event in it, if it is one.
    pub(super) fn happened(&self, message: &Message<'_>) -> Option<Happened> {
        let order = self.change?;
        let stored: Stored = serde_json::from_slice(message.payload).ok()?;
        Some(Happened {
            event: stored.event?,
            order,
        })
    }
}
