//! What became of the first message under an id that is used again.

use std::time::Duration;

use natterjack_nats::{
    Conversation, MessageId, Shards, UserId,
    direct::{self, Direct},
    services::{
        self,
        history::{Found, LookUp},
    },
    subjects::chat,
    topology::chat_stream,
    wire::{Fingerprint, Stored, Void, WireError},
};
use tokio::time::sleep;

use super::verdict;
use crate::app::{App, SERVICE_TIMEOUT};

/// How often what the stream names is looked for in it, and after which pause.
const READS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// A message by its name, and what it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) conversation: Conversation,
    pub(super) sender: UserId,
    pub(super) id: MessageId,
    fingerprint: Fingerprint,
}

impl From<&Stored> for Named {
    fn from(stored: &Stored) -> Self {
        Self {
            conversation: stored.conversation,
            sender: stored.sender,
            id: stored.id,
            fingerprint: stored.fingerprint(),
        }
    }
}

/// What is there under the id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The same message, at this place.
    Same(u64),
    /// Something else.
    Other,
    /// Its refusal: the message is not stored.
    Void(WireError),
}

impl First {
    /// What whoever sends it again is told.
    pub(super) fn told(self) -> Result<u64, WireError> {
        match self {
            Self::Same(seq) => Ok(seq),
            Self::Other => Err(verdict::conflict()),
            Self::Void(error) => Err(error),
        }
    }

    fn found(named: &Named, found: &Found) -> Self {
        if found.fingerprint == named.fingerprint {
            Self::Same(found.seq)
        } else {
            Self::Other
        }
    }

    /// `None` if it is nothing that we know of.
    fn read(shards: Shards, named: &Named, direct: &Direct) -> Option<Self> {
        if chat::parse_void(shards, &direct.subject).is_some() {
            let void: Void = serde_json::from_slice(&direct.payload).ok()?;
            let same = void.conversation == named.conversation;
            return Some(if same { Self::Void(void.error) } else { Self::Other });
        }
        let first: Stored = serde_json::from_slice(&direct.payload).ok()?;
        // The stream compares ids only: what it has under this one may say something else.
        let same = first.conversation == named.conversation && first.fingerprint() == named.fingerprint;
        Some(if same { Self::Same(direct.seq) } else { Self::Other })
    }
}

impl App {
    /// What a stream has at the place that it named for this message.
    ///
    /// # Errors
    /// `timeout`: that could not be read, and the outcome is open.
    pub(super) async fn first(&self, named: &Named, seq: u64) -> Result<First, WireError> {
        let stream = chat_stream(self.shards.of(&named.conversation));
        for _ in 0..READS {
            let first = direct::get(&self.nats.service, &stream, seq, SERVICE_TIMEOUT).await;
            if let Ok(Some(first)) = first
                && let Some(first) = First::read(self.shards, named, &first)
            {
                return Ok(first);
            }
            // A replica that lags behind the one that acked has it in a moment.
            sleep(PAUSE).await;
        }
        // Trimmed already. Any other error would say that nothing was stored; and if it is not there
        // either, it may be this very message, where only we cannot see it.
        let found = self.look_up(named).await;
        found.ok().flatten().ok_or_else(|| verdict::exhausted(true))
    }

    /// Whether the message was stored, whenever that was.
    ///
    /// # Errors
    /// The service is away, or does not know yet.
    pub(super) async fn look_up(&self, named: &Named) -> Result<Option<First>, WireError> {
        let look_up = LookUp {
            conversation: named.conversation,
            sender: named.sender,
            id: named.id,
        };
        let found = services::call(&self.nats.service, &look_up, SERVICE_TIMEOUT).await?;
        Ok(found.map(|found| First::found(named, &found)))
    }
}
