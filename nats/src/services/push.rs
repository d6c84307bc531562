//! `svc.push.<verb>`: what an operator asks the notifier, for example with
//! `nats req svc.push.why '{"conversation":"dm.…","seq":42,"user":"01j…"}'`.

use serde::{Deserialize, Serialize};

use super::{names, verbs};
use crate::{
    conversation::Conversation,
    ids::UserId,
    wire::{DeadPush, PushTrace},
};

/// Why a message was pushed to a user, or was not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// Where.
    pub conversation: Conversation,
    /// The message's place.
    pub seq: u64,
    /// To whom; everybody if absent.
    #[serde(default)]
    pub user: Option<UserId>,
}

/// The answer to [`Why`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// In words, a line each.
    pub answer: Vec<String>,
    /// What it rests on, oldest first.
    pub trace: Vec<PushTrace>,
}

/// Pushes that were given up, oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Dead {
    /// From this sequence of the stream `PUSH_DEAD` on.
    #[serde(default)]
    pub from: u64,
    /// At most so many; 100 if absent, and never more than that.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// The answer to [`Dead`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadPage {
    /// Each with its sequence.
    pub pushes: Vec<(u64, DeadPush)>,
    /// Where to go on; absent if these are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Pushes again what was given up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Replay {
    /// This one of the stream `PUSH_DEAD`; all if absent.
    #[serde(default)]
    pub seq: Option<u64>,
}

/// The answer to [`Replay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// So many are pushed again.
    pub replayed: u64,
    /// So many had been overtaken by a later message of their conversation, or their device is no longer
    /// registered, or they are older than what is remembered of pushes: they are left out, and gone.
    pub overtaken: u64,
    /// So many are left: ask again.
    pub left: u64,
}

verbs! { names::PUSH =>
    Why as "why" -> Explanation;
    Dead as "dead" -> DeadPage;
    Replay as "replay" -> Replayed;
}
