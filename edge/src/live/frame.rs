//! A live message as it comes from NATS: routed by its subject and headers, decoded only if it is a
//! membership event.

use std::sync::Arc;

use async_nats::Message;
use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{
    Conversation,
    headers::{self, Position},
    subjects,
    wire::{Event, Stored, splice},
};

use super::outlet::Delivery;

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

/// A membership event, and its place among the changes of its group.
pub(super) struct Happened {
    pub(super) event: Event,
    pub(super) order: u64,
}

/// The conversation and the delivery that a live NATS message stands for; `None` for garbage, which
/// only an operator with access to NATS could have put there.
pub(super) fn read(message: &Message) -> Option<(Conversation, Delivery)> {
    let conversation = subjects::live::parse(&message.subject)?;
    let delivery = match headers::position(message.headers.as_ref()) {
        Some(position) => Delivery::Message(Arc::new(LiveMessage {
            conversation,
            position,
            frame: splice(position, &message.payload)?.into(),
        })),
        None => Delivery::Ephemeral(Utf8Bytes::try_from(message.payload.clone()).ok()?),
    };
    Some((conversation, delivery))
}

/// The membership event in a live NATS message, if it is one.
pub(super) fn event(message: &Message) -> Option<Happened> {
    let headers = message.headers.as_ref();
    if !headers::is_event(headers) || headers::position(headers).is_none() {
        return None;
    }
    let stored: Stored = serde_json::from_slice(&message.payload).ok()?;
    Some(Happened {
        event: stored.event?,
        order: headers::change(headers).unwrap_or_default(),
    })
}
