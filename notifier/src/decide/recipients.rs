//! Whom a text may have to be pushed to: everybody in the conversation, without those for whom its outcome
//! decides already.

use std::collections::{BTreeSet, HashMap};

use natterjack_nats::{
    Conversation, UserId,
    services::conversations::{Audience, Listener},
    wire::{PushReason, WireError},
};

use super::{
    Decider,
    look::{Candidate, Look},
    mention::Mentions,
    verdict::{Standing, gate},
};
use crate::{outcome::Reached, takeback::Over};

/// So far may the clock of the persister, which says when somebody joined, be from that of NATS: rather one
/// push too many than one too few.
const CLOCKS_MS: u64 = 2_000;

/// The answers of the persister, by conversation.
pub type AudiencesOf = HashMap<Conversation, Audience>;
/// What was read, by whom.
pub type OverOf = HashMap<(UserId, Conversation), Over>;

/// What is left to find out.
#[derive(Debug, Default)]
pub struct Open {
    /// Of whom.
    pub candidates: Vec<Candidate>,
    /// Who is in the conversations that were asked for.
    pub audiences: AudiencesOf,
    /// What was read before it was decided again: if another look, which did not come to its end, had handed
    /// it over before it was read, it is taken back.
    pub over: OverOf,
    /// Whether the persister was asked.
    pub asked: bool,
    /// Looks that cannot go on, by their place in the batch, and why: the persister is away.
    pub stuck: Option<(BTreeSet<usize>, WireError)>,
}

impl Decider {
    /// Concludes what can be concluded by the outcome alone, and says what is open.
    pub async fn recipients(&self, looks: &mut [Look]) -> Open {
        let mut open = Open::default();
        let mut asking = BTreeSet::new();
        for (at, look) in looks.iter_mut().enumerate() {
            if !self.by_outcome(look, &mut open.over) {
                asking.insert(at);
            }
        }
        let conversations: BTreeSet<Conversation> =
            asking.iter().map(|at| looks[*at].text.conversation).collect();
        let conversations: Vec<Conversation> = conversations.into_iter().collect();
        open.asked = !conversations.is_empty();
        match self.people.audiences(&conversations).await {
            Ok(audiences) => open.audiences = audiences,
            Err(error) => {
                open.stuck = Some((asking, error));
                return open;
            }
        }
        for at in asking {
            let look = &mut looks[at];
            // The answer has each of them.
            if let Some(audience) = open.audiences.get(&look.text.conversation) {
                self.by_audience(at, look, audience, &mut open.candidates, &mut open.over);
            }
        }
        open
    }

    /// A 1:1 chat that was confirmed needs nobody to be asked. `false` if somebody is open.
    fn by_outcome(&self, look: &mut Look, over: &mut OverOf) -> bool {
        let Conversation::Dm(dm) = look.text.conversation else {
            return false;
        };
        let sender = look.text.stored.sender;
        let Some(peer) = dm.peer_of(sender) else {
            return false;
        };
        if peer == sender {
            look.conclude(sender, PushReason::Own, &[]);
            return true;
        }
        let reached = self.outcomes.reached(peer, look.text.conversation);
        let Some(reason) = gate(&standing(look.seq(), reached), look.moment) else {
            return false;
        };
        look.conclude(sender, PushReason::Own, &[]);
        look.conclude(peer, reason, &[]);
        note_read(over, look, peer, reason, reached.read);
        true
    }

    fn by_audience(
        &self,
        at: usize,
        look: &mut Look,
        audience: &Audience,
        candidates: &mut Vec<Candidate>,
        over: &mut OverOf,
    ) {
        let mentions = Mentions::of(look.text.stored.text.as_deref().unwrap_or_default());
        for listener in &audience.members {
            let user = listener.user;
            let mut reached = self.outcomes.reached(user, look.text.conversation);
            // What was read long ago is known to the persister alone.
            reached.read = reached.read.max(listener.read);
            let mention = listener
                .handle
                .as_deref()
                .is_some_and(|handle| mentions.names(handle));
            let standing = Standing {
                own: user == look.text.stored.sender,
                joined_later: listener.joined_at > look.text.delivered.stored_ms + CLOCKS_MS,
                muted: self.muted(listener, mention),
                ..standing(look.seq(), reached)
            };
            if let Some(reason) = gate(&standing, look.moment) {
                look.conclude(user, reason, &[]);
                note_read(over, look, user, reason, reached.read);
            } else {
                candidates.push(Candidate {
                    look: at,
                    user,
                    standing,
                    mention,
                    preview: self.preview.min(listener.push_preview),
                });
            }
        }
    }

    fn muted(&self, listener: &Listener, mention: bool) -> bool {
        listener
            .mute
            .is_some_and(|mute| mute.holds_at(self.time.now_ms()) && !(mute.mentions && mention))
    }
}

/// As far as the outcome tells.
fn standing(seq: u64, reached: Reached) -> Standing {
    Standing {
        read: reached.read >= seq,
        confirmed: reached.foreground >= seq,
        delivered: reached.delivered >= seq,
        ..Standing::default()
    }
}

fn note_read(over: &mut OverOf, look: &Look, user: UserId, reason: PushReason, read: u64) {
    if reason == PushReason::Read && look.text.delivered.times > 1 {
        let over = over.entry((user, look.text.conversation)).or_default();
        over.read = over.read.max(read);
    }
}
