//! Conversations that a user has muted.

use natterjack_nats::{
    Conversation, UserId,
    limits::WHOLE_MAX,
    services::conversations::{One, SetMute},
    wire::{Code, ConversationSummary, Mute},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Conversations,
    errors::{no_such_peer, not_yours},
    rights::Refusal,
};
use crate::{
    accounts::{millis, users},
    db::{DbError, Tx},
    failure::Failure,
};

impl Conversations {
    /// Mutes a conversation, changes how it is muted, or takes it back; answers with it as in the list.
    ///
    /// # Errors
    /// `bad_request` for a time that is over; `not_member` and `not_found` as for
    /// [`One`]; Postgres is away.
    pub async fn set_mute(&self, request: SetMute) -> Result<ConversationSummary, Failure> {
        let SetMute {
            user,
            conversation,
            mute,
        } = request;
        let now_ms = self.clock.now_ms();
        if let Some(mute) = &mute {
            may_hold(mute, now_ms)?;
        }
        let change = |tx: Tx| async move {
            is_in(&tx, user, &conversation).await?;
            match mute {
                Some(mute) => insert(&tx, user, conversation.key(), mute).await?,
                None => delete(&tx, user, conversation.key()).await?,
            }
            Ok::<_, Failure>(())
        };
        self.db.tx("conversations.set_mute", change).await?;
        self.one(One { user, conversation }).await
    }
}

fn may_hold(mute: &Mute, now_ms: u64) -> Result<(), Failure> {
    let told = match mute.until {
        Some(until) if until <= now_ms => {
            "`until` is over already: give a time to come, in Unix milliseconds, or leave it out to mute until \
             it is taken back"
        }
        Some(until) if until > WHOLE_MAX => {
            "`until` is out of range: give it in Unix milliseconds, or leave it out to mute until it is taken \
             back"
        }
        _ => return Ok(()),
    };
    Err(Failure::wire(Code::BadRequest, told))
}

/// Refuses who is not in a conversation; a 1:1 chat needs no message to be muted, but two users.
async fn is_in(tx: &Tx, user: UserId, conversation: &Conversation) -> Result<(), Failure> {
    match conversation {
        Conversation::Dm(dm) => {
            let peer = dm.peer_of(user).ok_or_else(not_yours)?;
            let found = users::profiles(tx, &[peer]).await?;
            found.first().map(drop).ok_or_else(no_such_peer)
        }
        Conversation::Group(group) => {
            let row = tx
                .query_opt(
                    // Held until the commit: whoever leaves at the same moment takes the mute along.
                    "select from members where conversation = $1 and user_id = $2 for key share",
                    &[&group.as_uuid(), &user.as_uuid()],
                )
                .await?;
            row.map(drop).ok_or_else(|| Refusal::NotMember.into())
        }
        Conversation::User(_) => Err(not_yours()),
    }
}

async fn insert(tx: &Tx, user: UserId, key: Uuid, mute: Mute) -> Result<(), DbError> {
    tx.execute(
        "insert into mutes (conversation, user_id, until, mentions) values ($1, $2, $3, $4)
         on conflict (conversation, user_id) do update set until = excluded.until, mentions = excluded.mentions",
        &[&key, &user.as_uuid(), &mute.until.map(millis), &mute.mentions],
    )
    .await?;
    Ok(())
}

/// As if it had never been muted.
pub async fn delete(tx: &Tx, user: UserId, key: Uuid) -> Result<(), DbError> {
    tx.execute(
        "delete from mutes where conversation = $1 and user_id = $2",
        &[&key, &user.as_uuid()],
    )
    .await?;
    Ok(())
}

/// From the columns mentions and until, from `first` on: both null if it is not muted.
pub fn mute(row: &Row, first: usize) -> Result<Option<Mute>, DbError> {
    let mentions: Option<bool> = row.try_get(first)?;
    let until: Option<i64> = row.try_get(first + 1)?;
    Ok(mentions.map(|mentions| Mute {
        until: until.map(|until| u64::try_from(until).unwrap_or_default()),
        mentions,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_ends_in_the_future() {
        let until = |until| {
            let mute = Mute {
                until,
                mentions: true,
            };
            may_hold(&mute, 1_000).is_ok()
        };
        assert!(until(None) && until(Some(1_001)) && until(Some(WHOLE_MAX)));
        assert!(!until(Some(1_000)) && !until(Some(0)) && !until(Some(u64::MAX)));
    }
}
