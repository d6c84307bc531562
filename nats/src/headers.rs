//! Headers on stored and republished messages.

use async_nats::{HeaderMap, header};

/// Marks a stored message whose kind matters to those who route it, so that they need not decode
/// the payload: set to [`KIND_EVENT`] on membership events, absent otherwise.
pub const KIND: &str = "Natterjack-Kind";

/// The value of [`KIND`] on membership events.
pub const KIND_EVENT: &str = "event";

/// On membership events: a number that rises from one change of a group to the next, whatever any clock
/// says. The same change may be told under several numbers, all of them between those of the changes
/// before and after it.
pub const CHANGE: &str = "Natterjack-Change";

/// Sequence and predecessor of a republished message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The message's sequence in its stream, and so in its conversation.
    pub seq: u64,
    /// The sequence of its predecessor in the same conversation, as far as the stream still holds
    /// it: 0 means "none in the stream", which is not "none ever".
    pub prev: u64,
}

/// The position of a republished message; `None` for an ephemeral frame.
#[must_use]
pub fn position(headers: Option<&HeaderMap>) -> Option<Position> {
    let number = |name: &str| headers?.get(name)?.as_str().parse().ok();
    Some(Position {
        seq: number(header::NATS_SEQUENCE.as_ref())?,
        prev: number(header::NATS_LAST_SEQUENCE.as_ref())?,
    })
}

/// The [`CHANGE`] of a membership event.
#[must_use]
pub fn change(headers: Option<&HeaderMap>) -> Option<u64> {
    headers?.get(CHANGE)?.as_str().parse().ok()
}

/// Whether a stored or republished message is a membership event.
#[must_use]
pub fn is_event(headers: Option<&HeaderMap>) -> bool {
    headers
        .and_then(|headers| headers.get(KIND))
        .is_some_and(|value| value.as_str() == KIND_EVENT)
}
