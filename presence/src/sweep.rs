//! What is left of an edge that is gone: its users are looked at, then its sessions are removed.
//!
//! The sessions are listed first and the lease is read after that, so that what the edge writes under a
//! lease that it takes meanwhile is not among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use natterjack_nats::{EdgeId, UserId};

use crate::{
    decide::{Entry, Fate},
    evaluate::{Gone, LOOKS_MAX, Looker, Reason},
    leases::Holding,
    store::{StoreError, Stored},
};

/// How often those are looked at again of whom a look left something open.
const ROUNDS_MAX: usize = 12;
/// How soon a sweep that is not through is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// Removals at once.
const REMOVALS_MAX: usize = 64;

/// Why an edge is swept.
#[derive(Debug, Clone, Copy)]
pub enum Cause {
    /// Its lease ended at this time, by the server's clock, Unix milliseconds.
    Gone {
        /// When.
        at_ms: u64,
    },
    /// It holds a lease of this epoch, and what it had before is gone.
    Renewed {
        /// Which.
        epoch: u64,
    },
    /// Events may have been missed; none is handled meanwhile.
    Audit,
}

/// How far a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// Nothing of it is left.
    All,
    /// Try again after this.
    Part(Duration),
}

/// What an edge left behind.
struct Rest {
    lost: BTreeMap<UserId, Vec<(Stored, Entry)>>,
    /// Whether there are sessions of which it cannot be said yet.
    doubt: bool,
    gone: Gone,
}

/// Sweeps an edge.
///
/// # Errors
/// NATS did not answer; nothing is lost.
pub async fn sweep(looker: &Looker, edge: EdgeId, cause: Cause) -> Result<Swept, StoreError> {
    let started = Instant::now();
    let (held, gone_ms) = match cause {
        Cause::Gone { at_ms } => (None, at_ms),
        Cause::Renewed { epoch } => (Some(epoch), looker.time.now_ms()),
        Cause::Audit => (None, looker.time.now_ms()),
    };
    let Some(rest) = list(looker, edge, held).await? else {
        return Ok(Swept::Part(AGAIN));
    };
    if rest.lost.is_empty() {
        let swept = if rest.doubt {
            Swept::Part(AGAIN)
        } else {
            Swept::All
        };
        return Ok(swept);
    }
    let users: Vec<UserId> = rest.lost.keys().copied().collect();
    let open = look(looker, &rest, users, gone_ms).await?;
    looker.metrics.sweep(started.elapsed());
    let sessions: usize = rest.lost.values().map(Vec::len).sum();
    tracing::info!(%edge, sessions, users = rest.lost.len(), took = ?started.elapsed(), "an edge is gone; its users were looked at");
    if open > 0 {
        return Ok(Swept::Part(AGAIN));
    }
    note_last_seen(looker, &rest).await?;
    remove(looker, &rest).await?;
    looker.metrics.swept.inc_by(sessions as u64);
    Ok(if rest.doubt {
        Swept::Part(AGAIN)
    } else {
        Swept::All
    })
}

/// `None` if the edge holds another lease by now, of which an event is on its way.
async fn list(looker: &Looker, edge: EdgeId, held: Option<u64>) -> Result<Option<Rest>, StoreError> {
    let (mut listed, mut from) = (Vec::new(), Some(1));
    while let Some(seq) = from {
        let (page, next) = looker.store.sessions_page(edge, seq).await?;
        listed.extend(page.into_iter().filter(|stored| {
            let session = stored.session.as_ref();
            session.is_some_and(|session| Some(session.epoch) != held)
        }));
        from = next;
    }
    let known = looker.store.lease(edge).await?;
    let (holding, now_held) = match &known.holding {
        Holding::Held(lease) => (known.holding.clone(), Some(lease.epoch)),
        Holding::Gone { .. } | Holding::Never => (known.holding.clone(), None),
    };
    looker.leases.note(edge, known);
    if held.is_some() && now_held != held {
        return Ok(None);
    }
    let mut rest = Rest {
        lost: BTreeMap::new(),
        doubt: false,
        gone: Gone {
            holding,
            edge,
            epochs: BTreeSet::new(),
        },
    };
    for stored in listed {
        let Some(session) = stored.session else { continue };
        let entry = looker
            .leases
            .judge_by(&rest.gone.holding, edge, &session, stored.stored_ms);
        match entry.fate {
            Fate::Lost => {
                rest.gone.epochs.insert(session.epoch);
                rest.lost.entry(stored.user).or_default().push((stored, entry));
            }
            Fate::Doubtful { .. } => rest.doubt = true,
            Fate::Open { .. } | Fate::Closed => {}
        }
    }
    Ok(Some(rest))
}

/// Looks at users until nothing is open; answers of how many something is.
async fn look(
    looker: &Looker,
    rest: &Rest,
    mut users: Vec<UserId>,
    gone_ms: u64,
) -> Result<usize, StoreError> {
    for _ in 0..ROUNDS_MAX {
        let looks = stream::iter(users).map(|user| async move {
            let sessions = rest.lost.get(&user).map(Vec::as_slice).unwrap_or_default();
            let reason = Reason {
                seq: sessions.iter().map(|(stored, _)| stored.seq).max().unwrap_or(0),
                event_ms: 0,
                gone: Some(&rest.gone),
            };
            let look = looker.look(user, reason).await?;
            // Of a look that wrote nothing, see `evaluate`.
            let unwritten = (!look.wrote)
                .then(|| looker.graced_for(gone_ms))
                .filter(|rest| !rest.is_zero());
            Ok(look.again.or(unwritten).map(|again| (user, again)))
        });
        let mut looks = looks.buffer_unordered(LOOKS_MAX);
        let (mut open, mut pause) = (Vec::new(), AGAIN);
        while let Some(looked) = looks.next().await {
            let looked: Result<_, StoreError> = looked;
            if let Some((user, again)) = looked? {
                open.push(user);
                pause = pause.min(again);
            }
        }
        if open.is_empty() {
            return Ok(0);
        }
        tokio::time::sleep(pause).await;
        users = open;
    }
    Ok(users.len())
}

async fn note_last_seen(looker: &Looker, rest: &Rest) -> Result<(), StoreError> {
    let notes = stream::iter(rest.lost.values().flatten().copied()).map(|(stored, entry)| {
        looker
            .store
            .note_last_seen(stored.user, stored.device, entry.at_ms)
    });
    let mut notes = notes.buffer_unordered(LOOKS_MAX);
    while let Some(noted) = notes.next().await {
        noted?;
    }
    Ok(())
}

/// Each by itself: whatever purged several would lose events of others, see [`natterjack_nats::marker`].
async fn remove(looker: &Looker, rest: &Rest) -> Result<(), StoreError> {
    let lost = stream::iter(rest.lost.values().flatten().copied());
    let removals = lost.map(|(stored, _)| async move {
        let Stored {
            edge,
            user,
            device,
            seq,
            ..
        } = stored;
        looker.store.remove_session(edge, user, device, seq).await
    });
    let mut removals = removals.buffer_unordered(REMOVALS_MAX);
    while let Some(removed) = removals.next().await {
        removed?;
    }
    Ok(())
}
