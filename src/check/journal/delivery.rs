//! A message as a client showed it, small enough that an hour of them fits into memory.

use std::time::Duration;

use natterjack_nats::{
    MessageId, UserId,
    wire::{Fingerprint, Kind, Message},
};

/// A message as a client showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its place.
    pub seq: u64,
    /// The predecessor that it named.
    pub prev: u64,
    /// Its id.
    pub id: MessageId,
    /// By whom.
    pub sender: UserId,
    /// What it was.
    pub kind: Kind,
    /// The message that it edited or deleted.
    pub target: Option<u64>,
    /// The text that it showed.
    pub text: Option<TextHash>,
    /// The last edit that it included.
    pub edited: Option<u64>,
    /// The deletion that took its text.
    pub deleted: Option<u64>,
    /// When, since the run began.
    pub at: Duration,
}

/// The first 8 bytes of a text's SHA-256: enough to tell two texts of a run apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextHash(u64);

impl TextHash {
    /// The hash of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let whole = Fingerprint::of(Kind::Text, Some(text), None, None);
        let mut start = [0; 8];
        start.copy_from_slice(&whole.as_bytes()[..8]);
        Self(u64::from_be_bytes(start))
    }
}

impl Delivery {
    /// A message that was shown at that time.
    #[must_use]
    pub fn of(message: &Message, at: Duration) -> Self {
        Self {
            seq: message.seq,
            prev: message.prev,
            id: message.id,
            sender: message.sender,
            kind: message.kind,
            target: message.target,
            text: message.text.as_deref().map(TextHash::of),
            edited: message.edited,
            deleted: message.deleted,
            at,
        }
    }
}
