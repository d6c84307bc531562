//! `svc.history.sync`: everything after a cursor in all conversations of a user.
//!
//! Exact, because both halves are complete up to a known point: Postgres up to the watermark that
//! was captured before, and the tail up to the newest head that one look at a shard's subjects
//! gave. What is beyond that point waits for the next call, even where it was seen.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use natterjack_nats::{
    Conversation, Shard, UserId,
    limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
    services::history::{Sync, Synced},
    topology,
    wire::{Code, Message},
};

use super::{
    facts,
    overlay::{Facts, Overlay},
    plan::{self, News},
    sync_rows::{self, Moved},
    tails::{self, Tails},
    timeline::cost,
};
use crate::{Shared, conversations::tail as heads, failure::Failure};

/// Looks at a user's conversations before a sync gives up: each needs another group that was joined
/// in the few milliseconds of the one before.
const LOOKS: usize = 4;

/// A look at a user's conversations.
struct Seen {
    /// Captured first.
    watermarks: Vec<u64>,
    moved: Moved,
    /// The last message of each conversation that has one beyond the watermarks.
    heads: BTreeMap<Conversation, u64>,
}

/// Answers what follows the cursor, or a cursor at the present.
pub async fn sync(shared: Shared, request: Sync) -> Result<Synced, Failure> {
    let Some(cursor) = request.cursor else {
        return present(&shared).await;
    };
    if cursor.len() != usize::from(shared.shards.count()) {
        return Err(Failure::wire(
            Code::BadRequest,
            "the cursor is not one of this server's; start over without one",
        ));
    }
    let (user, limit) = (request.user, request.limit.clamp(1, PAGE_MESSAGES_MAX));
    let (shards, given) = (shared.shards, &cursor);
    let Seen {
        watermarks,
        moved,
        heads,
    } = look(&shared, user, given, limit).await?;
    let tails = tails::read(&shared, &watermarks, given, heads.keys().copied(), limit).await?;
    let mut news: Vec<News<Conversation>> = shards
        .all()
        .map(|shard| {
            let at = shard.index();
            let in_shard = |of: &Conversation| shards.of(of) == shard;
            let newest = heads
                .iter()
                .filter(|(of, _)| in_shard(of))
                .map(|(_, head)| *head)
                .max();
            News {
                cursor: cursor[at],
                complete_to: watermarks[at].max(newest.unwrap_or_default()),
                entries: Vec::new(),
                more: false,
            }
        })
        .collect();
    for (shard, upto) in &moved.upto {
        cut(&mut news[*shard], *upto);
    }
    for (conversation, places) in &moved.places {
        let news = &mut news[shards.of(conversation).index()];
        if places.len() > limit {
            cut(news, places.last().map_or(0, |(seq, _)| *seq));
        }
        let entries = places.iter().map(|(seq, size)| (*seq, *size, *conversation));
        news.entries.extend(entries);
    }
    for (conversation, tail) in &tails {
        let news = &mut news[shards.of(conversation).index()];
        if tail.more {
            cut(news, tail.next - 1);
        }
        let beyond = tail.messages.iter().filter(|message| message.seq > news.cursor);
        news.entries
            .extend(beyond.map(|message| (message.seq, cost(message), *conversation)));
    }
    for news in &mut news {
        news.entries.sort_by_key(|(seq, ..)| *seq);
        news.entries.dedup_by_key(|(seq, ..)| *seq);
    }
    deliver(&shared, news, &tails, limit).await
}

/// Looks until the groups that were looked at are all groups that the user was in by then. Who joins
/// one in between would else get a cursor beyond its first events, if another conversation of the
/// shard moved meanwhile. What is stored after the last look lies beyond all heads.
async fn look(shared: &Shared, user: UserId, cursor: &[u64], limit: usize) -> Result<Seen, Failure> {
    for _ in 0..LOOKS {
        // Before anything else is read.
        let hold = shared.recent.hold();
        let moved = shared
            .db
            .read("sync_moved", |tx| async move {
                sync_rows::moved(&tx, shared.shards, user, cursor, limit + 1).await
            })
            .await?;
        let heads = heads::heads(&shared.client, shared.shards, &hold, user, &moved.groups).await?;
        if !heads.complete {
            break;
        }
        let groups = shared
            .db
            .read(
                "sync_groups",
                |tx| async move { sync_rows::groups(&tx, user).await },
            )
            .await?;
        if groups
            .iter()
            .all(|group| moved.groups.binary_search(group).is_ok())
        {
            let heads = heads.heads.iter().map(|(of, last)| (*of, last.seq())).collect();
            return Ok(Seen {
                watermarks: hold.watermarks().to_vec(),
                moved,
                heads,
            });
        }
    }
    Err(Failure::wire(
        Code::Overloaded,
        "the history is catching up; try again later",
    ))
}

/// Of one conversation at least nothing is known beyond `seq`, and so of its shard.
fn cut(news: &mut News<Conversation>, seq: u64) {
    news.complete_to = news.complete_to.min(seq);
    news.more = true;
}

async fn present(shared: &Shared) -> Result<Synced, Failure> {
    let last = |shard: Shard| async move {
        let stream = shared.jetstream.get_stream(topology::chat_stream(shard)).await;
        let stream = stream.map_err(|_| natterjack_nats::direct::DirectError::NoResponders)?;
        Ok::<_, Failure>(stream.cached_info().state.last_sequence)
    };
    Ok(Synced {
        messages: Vec::new(),
        cursor: try_join_all(shared.shards.all().map(last)).await?,
        more: false,
    })
}

async fn deliver(
    shared: &Shared,
    mut news: Vec<News<Conversation>>,
    tails: &Tails,
    limit: usize,
) -> Result<Synced, Failure> {
    let first_plan = plan::plan(&news, limit, PAGE_BYTES_MAX);
    for (news, taken) in news.iter_mut().zip(&first_plan.taken) {
        if let Some((seq, ..)) = news.entries.get(*taken) {
            news.complete_to = news.complete_to.min(seq - 1);
            news.more = true;
        }
        news.entries.truncate(*taken);
    }
    let places: Vec<(Conversation, u64)> = news
        .iter()
        .flat_map(|news| {
            news.entries
                .iter()
                .map(|(seq, _, conversation)| (*conversation, *seq))
        })
        .collect();
    let mut firsts = BTreeMap::new();
    for (conversation, seq) in &places {
        firsts.entry(*conversation).or_insert(*seq);
    }
    let (wanted, first) = (&places, &firsts);
    let (mut found, below, facts) = shared
        .db
        .read("sync_messages", |tx| async move {
            let found = sync_rows::messages(&tx, wanted).await?;
            let below = sync_rows::below(&tx, first).await?;
            let mut all = BTreeMap::<Conversation, Facts>::new();
            for (conversation, tail) in tails.iter().filter(|(of, _)| first.contains_key(of)) {
                all.insert(
                    *conversation,
                    facts::gather(&tx, conversation, &tail.messages).await?,
                );
            }
            Ok::<_, Failure>((found, below, all))
        })
        .await?;
    let mut prev = below;
    let mut messages = BTreeMap::<(Conversation, u64), Message>::new();
    for (conversation, seq) in places {
        let tail = tails.get(&conversation).map_or(&[][..], |tail| &tail.messages);
        let in_tail = || tail.iter().find(|message| message.seq == seq).cloned();
        let Some(mut message) = found.remove(&(conversation, seq)).or_else(in_tail) else {
            return Err(Failure::internal(format!(
                "message {seq} of {conversation} is gone"
            )));
        };
        let before = tail
            .iter()
            .rev()
            .map(|message| message.seq)
            .find(|before| *before < seq);
        let last = prev.entry(conversation).or_default();
        message.prev = (*last).max(before.unwrap_or_default());
        *last = seq;
        if let Some(facts) = facts.get(&conversation) {
            Overlay::new(tail, facts).apply(std::slice::from_mut(&mut message));
        }
        messages.insert((conversation, seq), message);
    }
    // Once more with what they really cost: escaping may have made them larger than their text.
    for news in &mut news {
        for (seq, size, conversation) in &mut news.entries {
            *size = messages.get(&(*conversation, *seq)).map_or(*size, cost);
        }
    }
    let plan = plan::plan(&news, limit, PAGE_BYTES_MAX);
    let taken = news
        .iter()
        .zip(&plan.taken)
        .flat_map(|(news, taken)| &news.entries[..*taken]);
    let messages = taken
        .filter_map(|(seq, _, conversation)| messages.remove(&(*conversation, *seq)))
        .collect();
    Ok(Synced {
        messages,
        cursor: plan.cursor,
        more: plan.more,
    })
}
