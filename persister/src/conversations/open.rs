//! The opening of a session: all that an edge needs when a user connects, in one call.
//!
//! The watermarks are captured first. A message at or below them is then in what Postgres
//! answers, one beyond them is in what the streams answer, and one that is stored later is heard
//! live, because the edge subscribed before it asked: nothing falls in between.

use std::{cmp::Reverse, collections::BTreeMap};

use natterjack_nats::{
    Conversation,
    limits::PAGE_CONVERSATIONS_MAX,
    services::conversations::{Behind, ListPage, OpenSession, Session},
    wire::Code,
};
use uuid::Uuid;

use super::{
    Conversations,
    page_token::Place,
    rows::{self, Newer},
    tail::{self, Heads},
};
use crate::{accounts::users, db::Tx, failure::Failure};

/// Most conversations that are called behind.
const BEHIND_MAX: usize = 1_000;

impl Conversations {
    /// Profile, groups, watermarks, the first page of the list and what the client misses.
    pub async fn open(&self, request: OpenSession) -> Result<Session, Failure> {
        let (user, resume) = (request.user, request.resume.as_ref());
        let watermarks = self.watermarks.all();
        let (keys, cursors): (Vec<Uuid>, Vec<i64>) = resume
            .into_iter()
            .flatten()
            .map(|(conversation, cursor)| (conversation.key(), i64::try_from(*cursor).unwrap_or(i64::MAX)))
            .unzip();
        let (keys, cursors) = (&keys, &cursors);
        // Sent together: one round trip once the statements are prepared.
        let read = |tx: Tx| async move {
            let newer = async {
                match resume {
                    Some(_) => rows::newer(&tx, user, keys, cursors, BEHIND_MAX + 1).await,
                    None => Ok(Vec::new()),
                }
            };
            let profile = async { Ok(users::profiles(&tx, &[user]).await?.pop()) };
            let all = futures::try_join!(
                profile,
                rows::groups(&tx, user),
                rows::page(&tx, user, Place::START, PAGE_CONVERSATIONS_MAX + 1),
                newer,
            )?;
            Ok::<_, Failure>(all)
        };
        let (profile, groups, found, newer) = self.db.read("conversations.open", read).await?;
        let profile = profile.ok_or_else(|| {
            Failure::wire(
                Code::Unauthorized,
                "this account does not exist; sign up or log in again",
            )
        })?;
        let heads = tail::heads(&self.client, self.shards, &watermarks, user, &groups).await?;
        let log_head = heads
            .heads
            .get(&Conversation::User(user))
            .map_or(0, |head| head.seq);
        let (behind, behind_complete) = match resume {
            Some(cursors) => behind(&newer, &heads, cursors),
            None => (Vec::new(), true),
        };
        let ListPage { conversations, next } = self
            .first_page(user, found, &heads, &groups, PAGE_CONVERSATIONS_MAX)
            .await?;
        Ok(Session {
            user: profile,
            groups,
            group_members_max: self.group_members_max,
            watermarks,
            log_head,
            conversations,
            next,
            behind,
            behind_complete,
        })
    }
}

/// What the client misses, by what Postgres has and what the streams have beyond that; most
/// recent first. Also whether that is all.
fn behind(newer: &[Newer], heads: &Heads, cursors: &BTreeMap<Conversation, u64>) -> (Vec<Behind>, bool) {
    let mut latest: BTreeMap<Conversation, (u64, u64)> = BTreeMap::new();
    let in_postgres = newer.iter().map(|newer| {
        let at = u64::try_from(newer.head_at).unwrap_or_default();
        (newer.conversation, (at, newer.head))
    });
    let in_streams = heads.heads.iter().map(|(conversation, head)| {
        let at = head.stored.as_ref().map_or(0, |stored| stored.sent_at);
        (*conversation, (at, head.seq))
    });
    for (conversation, (at, head)) in in_postgres.chain(in_streams) {
        let entry = latest.entry(conversation).or_default();
        *entry = (entry.0.max(at), entry.1.max(head));
    }
    let mut behind: Vec<(u64, Behind)> = latest
        .into_iter()
        .map(|(conversation, (at, head))| {
            let cursor = cursors.get(&conversation).copied().unwrap_or_default();
            (
                at,
                Behind {
                    conversation,
                    cursor,
                    head,
                },
            )
        })
        .filter(|(_, behind)| behind.head > behind.cursor)
        .collect();
    behind.sort_by_key(|(at, behind)| Reverse((*at, behind.conversation)));
    let complete = heads.complete && newer.len() <= BEHIND_MAX && behind.len() <= BEHIND_MAX;
    let behind = behind.into_iter().take(BEHIND_MAX).map(|(_, behind)| behind);
    (behind.collect(), complete)
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;

    use super::*;
    use crate::conversations::tail::Head;

    #[test]
    fn the_stream_is_ahead_of_postgres_and_the_cursor_of_both() {
        let me = UserId::from_parts(1, 1);
        let with = |n| Conversation::dm(me, UserId::from_parts(2, n));
        let newer = [(1, 10, 100), (2, 20, 200)].map(|(n, head, head_at)| Newer {
            conversation: with(n),
            head,
            head_at,
        });
        let head = |seq| Head { seq, stored: None };
        let mut heads = Heads {
            heads: BTreeMap::from([(with(1), head(11)), (with(3), head(12)), (with(4), head(13))]),
            complete: true,
        };
        let cursors = BTreeMap::from([(with(1), 5), (with(4), 13)]);
        let (found, complete) = behind(&newer, &heads, &cursors);
        let found: Vec<_> = found.iter().map(|b| (b.conversation, b.cursor, b.head)).collect();
        assert_eq!(found, [(with(2), 0, 20), (with(1), 5, 11), (with(3), 0, 12)]);
        assert!(complete);
        heads.complete = false;
        assert!(!behind(&newer, &heads, &cursors).1);
    }
}
