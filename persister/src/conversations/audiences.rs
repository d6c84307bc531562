//! Who is in a conversation, and all that decides whether they are pushed.

use std::collections::HashMap;

use natterjack_nats::{
    Conversation,
    services::conversations::{AUDIENCE_CONVERSATIONS_MAX, Audience, Audiences, Listener},
    wire::Code,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Conversations, mutes};
use crate::{
    accounts::{millis, push, users},
    db::{DbError, Tx},
    failure::Failure,
};

/// About so many people in one answer: with names of the greatest length, it is as large as a message of
/// NATS may be. No group is larger.
const LISTENERS_MAX: i64 = 1_500;

/// Those who are in groups, and in 1:1 chats whose users are given. Each step is a look-up by key, so that
/// it may be planned once.
pub const LISTENERS: &str = "\
    select u.id, u.handle, u.name, p.conversation, p.joined_at, coalesce(c.read, 0), \
    mute.mentions, mute.until, u.push_preview \
    from ( \
      select m.conversation, m.user_id, m.joined_at from unnest($1::uuid[]) as g(key) \
      cross join lateral ( \
        select conversation, user_id, joined_at from members where conversation = g.key offset 0 \
      ) as m \
      union all \
      select d.key, d.user_id, 0 from unnest($2::uuid[], $3::uuid[]) as d(key, user_id) \
      offset 0 \
    ) as p \
    cross join lateral ( \
      select id, handle, name, push_preview from users where id = p.user_id offset 0 \
    ) as u \
    left join lateral ( \
      select read from cursors \
      where conversation = p.conversation and user_id = p.user_id offset 0 \
    ) as c on true \
    left join lateral ( \
      select mentions, until from mutes \
      where conversation = p.conversation and user_id = p.user_id \
      and (until is null or until > $4) offset 0 \
    ) as mute on true";

/// What a group is called, and how many are in it.
struct Group {
    title: Option<String>,
    count: i64,
}

impl Conversations {
    /// The audiences of these conversations, as many as fit.
    ///
    /// # Errors
    /// `bad_request` for too many; Postgres is away.
    pub async fn audiences(&self, request: Audiences) -> Result<Vec<Audience>, Failure> {
        let asked = &request.conversations;
        if asked.len() > AUDIENCE_CONVERSATIONS_MAX {
            let told = format!("ask for at most {AUDIENCE_CONVERSATIONS_MAX} conversations at once");
            return Err(Failure::wire(Code::BadRequest, told));
        }
        let now_ms = self.clock.now_ms();
        let read = |tx: Tx| async move {
            let mut groups = groups(&tx, asked).await?;
            let fit = fitting(asked, &groups);
            let mut members = listeners(&tx, fit, now_ms).await?;
            let audience = |conversation: &Conversation| Audience {
                conversation: *conversation,
                title: groups
                    .get_mut(&conversation.key())
                    .and_then(|group| group.title.take()),
                members: members.remove(&conversation.key()).unwrap_or_default(),
            };
            Ok::<_, DbError>(fit.iter().map(audience).collect())
        };
        Ok(self.db.read_planned("conversations.audiences", read).await?)
    }
}

/// The first of these conversations whose people fit into one answer: at least one.
fn fitting<'a>(asked: &'a [Conversation], groups: &HashMap<Uuid, Group>) -> &'a [Conversation] {
    let mut left = LISTENERS_MAX;
    let fits = asked.iter().take_while(|conversation| {
        left -= match conversation {
            Conversation::Dm(_) => 2,
            Conversation::Group(group) => groups.get(&group.as_uuid()).map_or(0, |group| group.count),
            Conversation::User(_) => 0,
        };
        left >= 0
    });
    let count = fits.count().max(1).min(asked.len());
    &asked[..count]
}

async fn groups(tx: &Tx, asked: &[Conversation]) -> Result<HashMap<Uuid, Group>, DbError> {
    let keys: Vec<Uuid> = asked.iter().filter_map(group_key).collect();
    let rows = tx
        .query(
            "select c.key, c.title, c.member_count from unnest($1::uuid[]) as asked(key)
             cross join lateral (
                 select key, title, member_count from conversations
                 where key = asked.key and kind = 1 offset 0
             ) as c",
            &[&keys],
        )
        .await?;
    let group = |row: &Row| {
        let count: Option<i32> = row.try_get(2)?;
        let group = Group {
            title: row.try_get(1)?,
            count: count.unwrap_or_default().into(),
        };
        Ok((row.try_get(0)?, group))
    };
    rows.iter().map(group).collect()
}

const fn group_key(conversation: &Conversation) -> Option<Uuid> {
    match conversation {
        Conversation::Group(group) => Some(group.as_uuid()),
        _ => None,
    }
}

/// Those who are in these conversations, by their keys.
async fn listeners(
    tx: &Tx,
    conversations: &[Conversation],
    now_ms: u64,
) -> Result<HashMap<Uuid, Vec<Listener>>, DbError> {
    let groups: Vec<Uuid> = conversations.iter().filter_map(group_key).collect();
    let (mut chats, mut people) = (Vec::new(), Vec::new());
    for conversation in conversations {
        if let Conversation::Dm(dm) = conversation {
            let mut two = vec![dm.low(), dm.high()];
            two.dedup();
            for user in two {
                chats.push(conversation.key());
                people.push(user.as_uuid());
            }
        }
    }
    let rows = tx
        .query(LISTENERS, &[&groups, &chats, &people, &millis(now_ms)])
        .await?;
    let mut listeners = HashMap::<Uuid, Vec<Listener>>::new();
    for row in &rows {
        let of = listeners.entry(row.try_get(3)?).or_default();
        of.push(listener(row)?);
    }
    Ok(listeners)
}

fn listener(row: &Row) -> Result<Listener, DbError> {
    let profile = users::profile(row)?;
    let unsigned = |at: usize| -> Result<u64, DbError> {
        let number: i64 = row.try_get(at)?;
        Ok(u64::try_from(number).unwrap_or_default())
    };
    Ok(Listener {
        user: profile.id,
        handle: profile.handle,
        name: profile.name,
        joined_at: unsigned(4)?,
        read: unsigned(5)?,
        mute: mutes::mute(row, 6)?,
        push_preview: push::preview(row, 8)?,
    })
}

#[cfg(test)]
mod tests {
    use natterjack_nats::{GroupId, UserId};

    use super::*;

    #[test]
    fn as_many_are_answered_as_fit_and_never_none() {
        let group = |n| Conversation::Group(GroupId::from_parts(1, n));
        let dm = Conversation::dm(UserId::from_parts(1, 1), UserId::from_parts(1, 2));
        let of = |counts: &[i64]| -> HashMap<Uuid, Group> {
            let groups = (0..).zip(counts).map(|(n, count)| {
                let (title, count) = (None, *count);
                (group(n).key(), Group { title, count })
            });
            groups.collect()
        };
        let asked = [group(0), dm, group(1), group(2)];
        assert_eq!(fitting(&asked, &of(&[100, 100, 100])).len(), 4);
        assert_eq!(fitting(&asked, &of(&[100, 1_398, 1])).len(), 3);
        assert_eq!(fitting(&asked, &of(&[100, 1_399, 1])).len(), 2);
        // One that was larger than any may be is answered all the same, alone.
        assert_eq!(fitting(&asked, &of(&[9_999, 1, 1])).len(), 1);
        assert_eq!(fitting(&[], &of(&[])).len(), 0);
    }
}
