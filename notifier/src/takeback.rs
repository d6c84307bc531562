//! Takes back what devices were told: of messages that were read elsewhere, or deleted.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    Conversation, UserId,
    wire::{Notice, PushJob, PushTrace, WireError},
};
use natterjack_runtime::server_time::ServerTime;

use crate::{
    decide::{DecideMetrics, People},
    pushes::{PushKey, Pushes, PushesError, Told, withdrawn},
    trace::{Trace, TraceError},
};

/// Questions at once.
const AT_ONCE: usize = 8;

/// What need not be seen any more of a conversation, by a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Over {
    /// They have read it up to here; 0: not known of any.
    pub read: u64,
    /// These were deleted.
    pub deleted: BTreeSet<u64>,
}

impl Over {
    /// Read up to here.
    #[must_use]
    pub const fn read(seq: u64) -> Self {
        Self {
            read: seq,
            deleted: BTreeSet::new(),
        }
    }

    /// Up to where the notice of this message is taken back, and why; `None` if it stays.
    fn of(&self, seq: u64) -> Option<(u64, &'static str)> {
        if seq <= self.read {
            Some((self.read, "it was read"))
        } else {
            self.deleted.contains(&seq).then_some((seq, "it was deleted"))
        }
    }
}

/// Why something was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum TakebackError {
    /// The bucket.
    #[error(transparent)]
    Pushes(#[from] PushesError),
    /// The persister, which knows the badges.
    #[error("the persister does not tell badges: {0}")]
    People(WireError),
    /// The trace.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// Takes notices back; cheap to clone.
#[derive(Debug, Clone)]
pub struct Takeback {
    /// What was told.
    pub pushes: Pushes,
    /// Who knows the badges.
    pub people: People,
    /// Who is told why.
    pub trace: Trace,
    /// The time.
    pub time: ServerTime,
    /// Counters.
    pub metrics: DecideMetrics,
}

impl Takeback {
    /// Takes back what is over. What was not sent yet never is; what is shown goes where the platform can.
    ///
    /// # Errors
    /// NATS or the persister did not answer; doing it again does no harm.
    pub async fn take_back(&self, over: &HashMap<(UserId, Conversation), Over>) -> Result<(), TakebackError> {
        let told = self.pushes.told(over.keys().copied()).await?;
        let told: Vec<(PushKey, Told)> = told
            .into_iter()
            .filter(|(key, told)| {
                let over = over.get(&(key.user, key.conversation));
                over.is_some_and(|over| message_of(told).is_some_and(|seq| over.of(seq).is_some()))
            })
            .collect();
        if told.is_empty() {
            return Ok(());
        }
        let users: BTreeSet<UserId> = told.iter().map(|(key, _)| key.user).collect();
        let users: Vec<UserId> = users.into_iter().collect();
        let badges = self.people.badges(&users).await.map_err(TakebackError::People)?;
        let unread = self.unread_before(&told, over).await?;
        let now_ms = self.time.now_ms();
        let changes: Vec<_> = told
            .into_iter()
            .map(|(key, told)| {
                let over = over
                    .get(&(key.user, key.conversation))
                    .cloned()
                    .unwrap_or_default();
                let badge = badges.get(&key.user).copied().unwrap_or(0);
                let stays = unread.contains(&(key.user, key.conversation));
                let change = move |told: &Told| {
                    let seq = message_of(told)?;
                    let (up_to, _) = over.of(seq)?;
                    if stays && seq > over.read {
                        return without_text(told.job.as_ref()?, now_ms);
                    }
                    Some(withdrawn(key.conversation, up_to, badge, now_ms))
                };
                (key, told, change)
            })
            .collect();
        let made = self.pushes.change(&changes).await?;
        let traces: Vec<(Conversation, PushTrace)> = changes
            .iter()
            .zip(made)
            .filter(|(_, made)| *made)
            .filter_map(|((key, told, _), _)| {
                let seq = message_of(told)?;
                let over = over.get(&(key.user, key.conversation))?;
                let entry = PushTrace::Withdrawn {
                    seq,
                    user: key.user,
                    device: key.device,
                    at: now_ms,
                    reason: over.of(seq)?.1.to_owned(),
                };
                Some((key.conversation, entry))
            })
            .collect();
        self.metrics.withdrawn.inc_by(traces.len() as u64);
        self.trace.write_all(&traces).await?;
        Ok(())
    }

    /// Where a deleted message had taken the place of earlier ones that nobody has read.
    async fn unread_before(
        &self,
        told: &[(PushKey, Told)],
        over: &HashMap<(UserId, Conversation), Over>,
    ) -> Result<HashSet<(UserId, Conversation)>, TakebackError> {
        let deleted: BTreeSet<(UserId, Conversation)> = told
            .iter()
            .filter(|(key, told)| {
                let read = over
                    .get(&(key.user, key.conversation))
                    .map_or(0, |over| over.read);
                message_of(told).is_some_and(|seq| seq > read)
            })
            .map(|(key, _)| (key.user, key.conversation))
            .collect();
        let questions = stream::iter(deleted).map(|(user, conversation)| async move {
            let unread = self.people.has_unread(user, conversation).await;
            let unread = unread.map_err(TakebackError::People)?;
            Ok::<_, TakebackError>(unread.then_some((user, conversation)))
        });
        let found: Vec<_> = questions.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The same notice without what was deleted: the place of the message before it is not known here, and that
/// something is unread is still true. `None` if it says nothing of the text as it is.
fn without_text(job: &PushJob, now_ms: u64) -> Option<PushJob> {
    let mut job = PushJob::new(job.notice.clone(), now_ms);
    let Notice::Message { body, mention, .. } = &mut job.notice else {
        return None;
    };
    body.take()?;
    *mention = false;
    Some(job)
}

/// The message that a device was told of, if it was not taken back.
fn message_of(told: &Told) -> Option<u64> {
    match told.job.as_ref()?.notice {
        Notice::Message { seq, .. } => Some(seq),
        Notice::Withdraw { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over() {
        let over = Over {
            read: 5,
            deleted: [3, 8].into(),
        };
        assert_eq!(over.of(3), Some((5, "it was read")));
        assert_eq!(over.of(5), Some((5, "it was read")));
        assert_eq!(over.of(6), None);
        assert_eq!(over.of(8), Some((8, "it was deleted")));
        assert_eq!(Over::default().of(1), None);
    }
}
