//! `push.trace.<conversation>`: why messages were pushed or not, for example `push.trace.dm.01j….01k…`;
//! and `push.dead.<channel>.<user>.<device>`: pushes that were given up.

use crate::{
    conversation::Conversation,
    ids::{DeviceId, UserId},
    wire::Channel,
};

/// The subject of the stream `PUSH_TRACE`.
pub const TRACES: &str = "push.trace.>";

/// The subject of the stream `PUSH_DEAD`.
pub const DEAD: &str = "push.dead.>";

/// The subject of the traces of one conversation.
#[must_use]
pub fn trace(conversation: &Conversation) -> String {
    format!("push.trace.{conversation}")
}

/// The subject on which a push to a device is stored that was given up.
#[must_use]
pub fn dead(channel: Channel, user: UserId, device: DeviceId) -> String {
    format!("push.dead.{channel}.{user}.{device}")
}
