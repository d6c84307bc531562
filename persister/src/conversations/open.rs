//! The opening of a session: all that an edge needs when a user connects, in one call.
//!
//! The watermarks are captured first. A message at or below them is then in what Postgres
//! answers, one beyond them is in what the streams answer, and one that is stored later is heard
//! live, because the edge subscribed before it asked: nothing falls in between.

use std::{cmp::Reverse, collections::BTreeMap};

use natterjack_nats::{
    Conversation, GroupId,
    limits::PAGE_CONVERSATIONS_MAX,
    services::conversations::{Behind, ListPage, OpenSession, Session},
    wire::Code,
};

use super::{
    Conversations,
    rows::{self, Found},
    tail::{self, Heads},
};
use crate::{accounts::users, db::Tx, failure::Failure};

/// Most conversations that are called behind.
const BEHIND_MAX: usize = 1_000;

impl Conversations {
    /// Profile, groups, watermarks, the first page of the list and what the client misses.
    pub async fn open(&self, request: OpenSession) -> Result<Session, Failure> {
        let (user, resume) = (request.user, request.resume.as_ref());
        let hold = self.recent.hold();
        // Sent together: one round trip once the statements are prepared.
        let read = |tx: Tx| async move {
            let profile = async { Ok(users::profiles(&tx, &[user]).await?.pop()) };
            futures::try_join!(profile, rows::all(&tx, user))
        };
        let (profile, all) = self.db.read_planned("conversations.open", read).await?;
        let profile = profile.ok_or_else(|| {
            Failure::wire(
                Code::Unauthorized,
                "this account does not exist; sign up or log in again",
            )
        })?;
        let groups = groups(&all);
        let heads = tail::heads(&self.client, self.shards, &hold, user, &groups).await?;
        let log_head = heads
            .heads
            .get(&Conversation::User(user))
            .map_or(0, tail::Unwritten::seq);
        let (behind, behind_complete) = match resume {
            Some(cursors) => behind(&all, &heads, cursors),
            None => (Vec::new(), true),
        };
        let ListPage { conversations, next } = self
            .first_page(user, all, &heads, &groups, PAGE_CONVERSATIONS_MAX)
            .await?;
        Ok(Session {
            user: profile,
            groups,
            group_members_max: self.group_members_max,
            watermarks: hold.watermarks().to_vec(),
            log_head,
            conversations,
            next,
            behind,
            behind_complete,
        })
    }
}

/// The groups among a user's conversations, in order.
pub(super) fn groups(all: &[Found]) -> Vec<GroupId> {
    let mut groups: Vec<GroupId> = all
        .iter()
        .filter_map(|found| match found.conversation {
            Conversation::Group(group) => Some(group),
            Conversation::Dm(_) | Conversation::User(_) => None,
        })
        .collect();
    groups.sort_unstable();
    groups
}

/// What the client misses, by what Postgres has and what the streams have beyond that; most
/// recent first. Also whether that is all.
fn behind(all: &[Found], heads: &Heads, cursors: &BTreeMap<Conversation, u64>) -> (Vec<Behind>, bool) {
    let mut latest: BTreeMap<Conversation, (u64, u64)> = BTreeMap::new();
    let in_postgres = all.iter().map(|found| {
        let at = u64::try_from(found.head_at).unwrap_or_default();
        (found.conversation, (at, found.head))
    });
    let in_streams = heads.heads.iter();
    let in_streams = in_streams.map(|(conversation, last)| (*conversation, (last.sent_at(), last.seq())));
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
    let complete = heads.complete && behind.len() <= BEHIND_MAX;
    let behind = behind.into_iter().take(BEHIND_MAX).map(|(_, behind)| behind);
    (behind.collect(), complete)
}

#[cfg(test)]
mod tests {
    use natterjack_nats::UserId;

    use super::*;
    use crate::{conversations::tail::Unwritten, recent::Head};

    #[test]
    fn the_stream_is_ahead_of_postgres_and_the_cursor_of_both() {
        let me = UserId::from_parts(1, 1);
        let with = |n| Conversation::dm(me, UserId::from_parts(2, n));
        let all = [(1, 10, 100), (2, 20, 200), (5, 0, 300)].map(|(n, head, head_at)| Found {
            head,
            head_at,
            ..Found::empty(with(n))
        });
        let head = |seq| Unwritten {
            messages: vec![Head { seq, stored: None }],
            whole: true,
        };
        let mut heads = Heads {
            heads: BTreeMap::from([(with(1), head(11)), (with(3), head(12)), (with(4), head(13))]),
            complete: true,
        };
        let cursors = BTreeMap::from([(with(1), 5), (with(4), 13)]);
        let (found, complete) = behind(&all, &heads, &cursors);
        let found: Vec<_> = found.iter().map(|b| (b.conversation, b.cursor, b.head)).collect();
        assert_eq!(found, [(with(2), 0, 20), (with(1), 5, 11), (with(3), 0, 12)]);
        assert!(complete);
        heads.complete = false;
        assert!(!behind(&all, &heads, &cursors).1);
    }
}
