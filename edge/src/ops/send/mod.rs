//! Sending: text, edit and deletion, from a client's wish to its place in the stream.
//!
//! [`Draft`] → ([`App::prepare`]: checked, perhaps known already) → [`Prepared`] →
//! ([`App::publish`]: handed to NATS, in order) → [`Pending`] → ([`App::outcome`]: on disk) → its
//! sequence. The steps are apart so that a session keeps its sends in order while their acks
//! overlap.

mod draft;
mod first;
mod lane;
mod peers;
mod publish;
mod verdict;
mod void;
mod window;

pub use draft::Draft;
pub use lane::Lane;
pub use peers::Peers;
pub use publish::Pending;
pub use window::Window;

use std::sync::Arc;

use natterjack_nats::{
    Conversation, MessageId, UserId,
    ids::GroupId,
    services::{self, accounts::Profiles, conversations::One, history::Inspect},
    wire::{Code, Content, Stored, WireError},
};
use tokio::time::Instant;

use self::first::Named;
use super::Caller;
use crate::app::{App, SERVICE_TIMEOUT};

/// A draft that may be stored, or that was stored before.
#[derive(Debug)]
pub enum Prepared {
    /// The same was sent before: this is its place.
    Known(u64),
    /// To be published.
    New {
        /// The message.
        stored: Box<Stored>,
        /// Since when it is tried.
        since: Instant,
    },
}

impl App {
    /// Sends a text. A retry with the same id and content gets the same sequence.
    ///
    /// # Errors
    /// What the client did wrong; `conflict` for an id that was used with another content;
    /// `timeout` where the outcome is not known.
    pub async fn send(
        &self,
        caller: &Caller,
        id: MessageId,
        conversation: Conversation,
        text: String,
        reply_to: Option<u64>,
    ) -> Result<u64, WireError> {
        self.store(caller, Draft::text(id, conversation, text, reply_to))
            .await
    }

    /// Gives a message of one's own a new text.
    ///
    /// # Errors
    /// As [`App::send`]; `forbidden` for a message of somebody else.
    pub async fn edit(
        &self,
        caller: &Caller,
        id: MessageId,
        conversation: Conversation,
        target: u64,
        text: String,
    ) -> Result<u64, WireError> {
        self.store(caller, Draft::edit(id, conversation, target, text))
            .await
    }

    /// Takes the text of a message of one's own, or of anybody's as a moderator of the group.
    ///
    /// # Errors
    /// As [`App::edit`].
    pub async fn delete(
        &self,
        caller: &Caller,
        id: MessageId,
        conversation: Conversation,
        target: u64,
    ) -> Result<u64, WireError> {
        self.store(caller, Draft::delete(id, conversation, target)).await
    }

    /// All steps in one.
    async fn store(&self, caller: &Caller, draft: Draft) -> Result<u64, WireError> {
        let outcome = async {
            let prepared = self.prepare(caller, draft).await?;
            // One request by itself: there is nothing to keep in order.
            let pending = self.publish(prepared, &Arc::new(Lane::default())).await?;
            self.outcome(pending).await
        };
        let outcome = outcome.await;
        self.metrics.sent(&outcome);
        outcome
    }

    /// Whether the draft may be stored, and whether it was stored before. Calls a service only
    /// where the draft itself and what this edge knows do not tell.
    ///
    /// # Errors
    /// What is wrong with the draft; `rate_limited`; `unavailable` if a service that must be asked
    /// is away.
    pub async fn prepare(&self, caller: &Caller, draft: Draft) -> Result<Prepared, WireError> {
        draft.check()?;
        self.limits.send(caller.user)?;
        // Before anything is asked: what is true then may have changed when it is published.
        let (now_ms, since) = (self.clock.now_ms(), Instant::now());
        let Draft {
            id,
            conversation,
            content,
        } = draft;
        let changes = match &content {
            Content::Edit { target, .. } => Some((*target, false)),
            Content::Delete { target } => Some((*target, true)),
            Content::Text { .. } | Content::Event(_) => None,
        };
        let stored = Box::new(Stored::new(conversation, id, caller.user, now_ms, content));
        if let Err(refusal) = self.admit(caller.user, &conversation).await {
            return self.unless_stored(refusal, &stored).await;
        }
        // A change is looked up whatever its age: its target may have changed by this very id.
        if (changes.is_some() || !self.window.is_fresh(id, now_ms))
            && let Some(first) = self.look_up(&Named::from(&*stored)).await?
        {
            return first.told().map(Prepared::Known);
        }
        if let Some((target, deletes)) = changes {
            let inspect = Inspect {
                user: caller.user,
                conversation,
                target,
            };
            let found = services::call(&self.nats.service, &inspect, SERVICE_TIMEOUT).await;
            let allowed = found.and_then(|found| verdict::may_change(&found, caller.user, deletes));
            if let Err(refusal) = allowed {
                return self.refuse(refusal, &stored).await;
            }
        } else if let Conversation::Dm(dm) = conversation
            && let Some(peer) = dm.peer_of(caller.user)
            && peer != caller.user
            && let Err(refusal) = self.peer_exists(peer).await
        {
            return self.unless_stored(refusal, &stored).await;
        }
        Ok(Prepared::New { stored, since })
    }

    /// What is refused for a reason that may be younger than an earlier try of it: a message that
    /// is stored gets its first ack again. Only this user's own id is looked up, and each look-up
    /// is one send of the rate limit: who was never there learns nothing by it.
    async fn unless_stored(&self, refusal: WireError, stored: &Stored) -> Result<Prepared, WireError> {
        if !verdict::may_be_new(&refusal, &stored.conversation) {
            return Err(refusal);
        }
        match self.look_up(&Named::from(stored)).await? {
            Some(first) => first.told().map(Prepared::Known),
            None => self.refuse(refusal, stored).await,
        }
    }

    /// Whether this user may read and write the conversation.
    ///
    /// # Errors
    /// `not_member`; `forbidden` for a user's log, which nobody writes; `unavailable` where only a
    /// service knows and it is away.
    pub async fn admit(&self, user: UserId, conversation: &Conversation) -> Result<(), WireError> {
        match conversation {
            Conversation::User(_) => Err(WireError::new(
                Code::Forbidden,
                "a user's own log is written by the server only; name a dm or a group",
            )),
            Conversation::Dm(_) if conversation.admits(user) == Some(true) => Ok(()),
            Conversation::Dm(_) => Err(verdict::not_member()),
            Conversation::Group(group) => self.admit_to_group(user, *group).await,
        }
    }

    async fn admit_to_group(&self, user: UserId, group: GroupId) -> Result<(), WireError> {
        // What the edge knows of a member is kept true by events; that it does not know of one may
        // mean that the event is still on its way, or that the user is not connected here.
        if self.hub.is_member(user, group) == Some(true) {
            return Ok(());
        }
        let one = One {
            user,
            conversation: Conversation::Group(group),
        };
        match services::call(&self.nats.service, &one, SERVICE_TIMEOUT).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code, Code::NotFound | Code::NotMember | Code::Forbidden) => {
                Err(verdict::not_member())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the other user of a 1:1 chat exists. While the service that knows is away, it is
    /// believed: live chat goes on without Postgres.
    async fn peer_exists(&self, peer: UserId) -> Result<(), WireError> {
        if self.peers.knows(peer) {
            return Ok(());
        }
        let profiles = Profiles { users: vec![peer] };
        match services::call(&self.nats.service, &profiles, SERVICE_TIMEOUT).await {
            Ok(found) if found.is_empty() => Err(WireError::new(
                Code::NotFound,
                "the other user of this chat does not exist; look the user up again",
            )),
            Ok(_) => {
                self.peers.learn(peer);
                Ok(())
            }
            Err(error) if error.retryable => Ok(()),
            Err(error) => Err(error),
        }
    }
}
