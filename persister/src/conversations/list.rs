//! The conversation list: pages of it, and one conversation.

use std::collections::BTreeMap;

use natterjack_nats::{
    Conversation, GroupId, UserId,
    limits::PAGE_CONVERSATIONS_MAX,
    services::conversations::{List, ListPage, One},
    wire::ConversationSummary,
};

use super::{
    Conversations,
    errors::{no_such_peer, not_yours},
    lasts,
    open::groups,
    page_token::Place,
    rights::Refusal,
    rows::{self, Found},
    tail::{self, Heads, Unwritten},
};
use crate::{
    db::Tx,
    failure::Failure,
    recent::{Hold, HoldOne, Missing},
};

/// Conversations of a first page whose messages are read from the stream, one conversation after the
/// other, where more lies beyond the watermark than is kept in memory. Of the others only the last one
/// counts until Postgres has them.
const CAUGHT_UP_MAX: usize = 8;

impl Conversations {
    /// A page of the list.
    pub async fn list(&self, request: List) -> Result<ListPage, Failure> {
        let (user, limit) = (request.user, request.limit.clamp(1, PAGE_CONVERSATIONS_MAX));
        let now_ms = self.clock.now_ms();
        if let Some(token) = &request.page {
            let place = Place::of_token(token)?;
            let read = |tx: Tx| async move {
                let mut found = rows::page(&tx, user, place, limit + 1).await?;
                let more = found.len() > limit;
                found.truncate(limit);
                let next = found.last().filter(|_| more).map(|last| last.place().token());
                let conversations = rows::summaries(&tx, user, found, now_ms).await?;
                Ok::<_, Failure>(ListPage { conversations, next })
            };
            return self.db.read("conversations.list", read).await;
        }
        let hold = self.recent.hold();
        let read = |tx: Tx| async move { rows::all(&tx, user).await };
        let all = self.db.read_planned("conversations.list", read).await?;
        let groups = groups(&all);
        let heads = self.heads_or_none(&hold, user, &groups).await;
        self.first_page(user, all, &heads, &groups, limit).await
    }

    /// The heads beyond the watermarks for a list, which does without if a shard does not answer.
    async fn heads_or_none(&self, hold: &Hold, user: UserId, groups: &[GroupId]) -> Heads {
        let heads = tail::heads(&self.client, self.shards, hold, user, groups).await;
        heads.unwrap_or_else(|error| {
            tracing::debug!(%error, "a list leaves out the newest messages");
            Heads::default()
        })
    }

    /// The first page from all that Postgres found and the heads that it does not have yet: those come
    /// first.
    pub(super) async fn first_page(
        &self,
        user: UserId,
        mut found: Vec<Found>,
        heads: &Heads,
        groups: &[GroupId],
        limit: usize,
    ) -> Result<ListPage, Failure> {
        found.retain(|found| !matches!(found.conversation, Conversation::User(_)));
        let more = found.len() > limit;
        found.truncate(limit);
        let end = found.last().filter(|_| more).map(Found::place);
        let others = not_among(&found, user, heads, groups);
        let (page, others, now_ms) = (&found, &others, self.clock.now_ms());
        let read = |tx: Tx| async move {
            let mut others_found = match others.as_slice() {
                [] => Vec::new(),
                others => rows::named(&tx, user, others).await?,
            };
            let absent = |conversation: &&Conversation| {
                !others_found
                    .iter()
                    .any(|found| found.conversation == **conversation)
            };
            let absent: Vec<Found> = others.iter().filter(absent).copied().map(Found::empty).collect();
            // Those that Postgres knows by now and that stand further down come with a later page.
            others_found.retain(|found| has_news(found, heads) || end.is_none_or(|end| found.place() > end));
            let first: Vec<Found> = others_found.into_iter().chain(absent).collect();
            let (news, settled): (Vec<_>, Vec<_>) =
                page.iter().cloned().partition(|found| has_news(found, heads));
            let first: Vec<Found> = first.into_iter().chain(news).collect();
            let places: Vec<Place> = settled.iter().map(Found::place).collect();
            let all = first.into_iter().chain(settled).collect();
            Ok::<_, Failure>((places, rows::summaries(&tx, user, all, now_ms).await?))
        };
        let (places, mut summaries) = self.db.read_planned("conversations.summaries", read).await?;
        self.catch_up(user, &mut summaries, &heads.heads).await;
        let settled = summaries.split_off(summaries.len() - places.len());
        let settled = places.into_iter().zip(settled).collect();
        Ok(arrange(summaries, settled, &heads.heads, limit, more))
    }

    async fn catch_up(
        &self,
        user: UserId,
        summaries: &mut [ConversationSummary],
        heads: &BTreeMap<Conversation, Unwritten>,
    ) {
        let mut read = 0;
        for summary in summaries {
            let Some(beyond) = heads.get(&summary.conversation) else {
                continue;
            };
            if !beyond.whole && beyond.seq() > summary.head && read < CAUGHT_UP_MAX {
                read += 1;
                let watermark = self.watermarks.of(self.shards.of(&summary.conversation));
                self.catch_up_from_stream(user, summary, watermark).await;
            }
            for message in &beyond.messages {
                tail::apply(summary, user, message);
            }
        }
    }

    /// Brings a summary up to date with what lies beyond a watermark, as far as its shard answers.
    async fn catch_up_one(&self, user: UserId, summary: &mut ConversationSummary, hold: &HoldOne) {
        match hold.of(&summary.conversation).await {
            Ok(messages) => messages
                .iter()
                .for_each(|message| tail::apply(summary, user, message)),
            Err(Missing::TooMuch) => self.catch_up_from_stream(user, summary, hold.watermark()).await,
            Err(Missing::Away(error)) => {
                tracing::debug!(%error, "a summary leaves out the newest messages");
            }
        }
    }

    async fn catch_up_from_stream(&self, user: UserId, summary: &mut ConversationSummary, watermark: u64) {
        let (conversation, from) = (summary.conversation, watermark.max(summary.head) + 1);
        match lasts::messages(&self.client, self.shards, &conversation, from).await {
            Ok(messages) => messages
                .iter()
                .for_each(|message| tail::apply(summary, user, message)),
            Err(error) => tracing::debug!(%error, "a summary leaves out the newest messages"),
        }
    }

    /// One conversation as in the list; a 1:1 chat without messages too.
    pub async fn one(&self, request: One) -> Result<ConversationSummary, Failure> {
        let (user, conversation) = (request.user, request.conversation);
        let now_ms = self.clock.now_ms();
        let hold = self.recent.hold_one(self.shards.of(&conversation));
        let read = |tx: Tx| async move {
            let found = match conversation {
                Conversation::Dm(dm) => {
                    dm.peer_of(user).ok_or_else(not_yours)?;
                    let found = rows::named(&tx, user, &[conversation]).await?.pop();
                    found.unwrap_or_else(|| Found::empty(conversation))
                }
                Conversation::Group(_) => {
                    let found = rows::named(&tx, user, &[conversation]).await?.pop();
                    found.ok_or(Refusal::NotMember)?
                }
                Conversation::User(_) => return Err(not_yours()),
            };
            let summary = rows::summaries(&tx, user, vec![found], now_ms).await?.pop();
            summary.ok_or_else(|| Failure::internal("a conversation has no summary"))
        };
        let mut summary = self.db.read_planned("conversations.one", read).await?;
        if matches!(conversation, Conversation::Dm(_)) && summary.peer.is_none() {
            return Err(no_such_peer());
        }
        self.catch_up_one(user, &mut summary, &hold).await;
        Ok(summary)
    }
}

/// Whether the streams have more of it than Postgres had.
fn has_news(found: &Found, heads: &Heads) -> bool {
    let head = heads.heads.get(&found.conversation);
    head.is_some_and(|head| head.seq() > found.head)
}

/// Conversations of the user that were written to lately and are not on the page.
fn not_among(found: &[Found], user: UserId, heads: &Heads, groups: &[GroupId]) -> Vec<Conversation> {
    heads
        .heads
        .keys()
        .filter(|conversation| match conversation {
            Conversation::Dm(dm) => dm.peer_of(user).is_some(),
            Conversation::Group(group) => groups.contains(group),
            Conversation::User(_) => false,
        })
        .filter(|conversation| !found.iter().any(|found| found.conversation == **conversation))
        .take(PAGE_CONVERSATIONS_MAX)
        .copied()
        .collect()
}

/// Puts what has news first, newest first, then what Postgres has in its own order, and cuts.
///
/// The token continues after the last row that stands in Postgres's order: one with news that came
/// from further down is seen again there, and none is left out.
fn arrange(
    mut news: Vec<ConversationSummary>,
    settled: Vec<(Place, ConversationSummary)>,
    heads: &BTreeMap<Conversation, Unwritten>,
    limit: usize,
    more: bool,
) -> ListPage {
    let at = |summary: &ConversationSummary| {
        let beyond = heads.get(&summary.conversation);
        beyond.map_or(0, Unwritten::sent_at)
    };
    news.sort_by_key(|summary| std::cmp::Reverse(at(summary)));
    let cut = news.len() > limit;
    news.truncate(limit);
    let room = limit - news.len();
    let next = (more || cut || settled.len() > room).then(|| {
        let last = settled.get(..room.min(settled.len())).and_then(<[_]>::last);
        last.map_or(Place::START, |(place, _)| *place).token()
    });
    let settled = settled.into_iter().take(room).map(|(_, summary)| summary);
    ListPage {
        conversations: news.into_iter().chain(settled).collect(),
        next,
    }
}
