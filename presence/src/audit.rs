//! Makes good what the events cannot tell: after a time longer than the marks of what ended are kept, in
//! which no presence process ran, and for consumers that were made anew.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use async_nats::jetstream::consumer::Info;
use futures::{StreamExt as _, stream};
use natterjack_nats::{topology::MARKERS_KEPT, wire::PresenceState};

use crate::{
    evaluate::{LOOKS_MAX, Looker, Reason},
    store::{StoreError, unix_ms},
    sweep::{self, Cause},
};

/// When this process opened the consumer last. The server forgets with its own restart when it delivered
/// last; a process that read a moment ago has missed nothing, and the events that wait come first then.
#[derive(Debug, Default)]
pub struct Audited(Mutex<Option<Opened>>);

#[derive(Debug)]
struct Opened {
    at: Instant,
    /// A consumer that was made anew was made later.
    created_ns: i128,
}

impl Audited {
    fn is_recent(&self, consumer: &Info) -> bool {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().is_some_and(|opened| {
            opened.created_ns == consumer.created.unix_timestamp_nanos() && opened.at.elapsed() < MARKERS_KEPT
        })
    }

    fn note(&self, consumer: &Info) {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *opened = Some(Opened {
            at: Instant::now(),
            created_ns: consumer.created.unix_timestamp_nanos(),
        });
    }
}

/// Audits if the consumer, as it was found, has missed something, before anything is read from it: a
/// process that is killed in the middle leaves it to the next.
///
/// # Errors
/// NATS did not answer.
pub async fn audit_if_missed(looker: &Looker, audited: &Audited, consumer: &Info) -> Result<(), StoreError> {
    if audited.is_recent(consumer) {
        audited.note(consumer);
        return Ok(());
    }
    let kept_ms = u64::try_from(MARKERS_KEPT.as_millis()).unwrap_or(u64::MAX);
    let active = consumer.delivered.last_active;
    let active_ms = active.map_or(0, |at| unix_ms(at.unix_timestamp_nanos()));
    let idle_ms = looker.time.now_ms().saturating_sub(active_ms);
    if consumer.delivered.consumer_sequence > 0 && idle_ms < kept_ms {
        audited.note(consumer);
        return Ok(());
    }
    let users = audit(looker).await?;
    audited.note(consumer);
    if users > 0 {
        tracing::info!(
            users,
            "events may have been missed; all who were not offline were looked at"
        );
    }
    Ok(())
}

/// Looks at everybody who is not offline, and sweeps every edge that has sessions and of which nothing is
/// known; answers at how many users it looked.
///
/// # Errors
/// NATS did not answer.
pub async fn audit(looker: &Looker) -> Result<usize, StoreError> {
    let (mut users, mut from) = (0, Some(1));
    while let Some(seq) = from {
        let (page, next) = looker.store.records_page(seq).await?;
        let looks = page
            .into_iter()
            .filter(|(_, record)| record.state != PresenceState::Offline);
        let mut looks = stream::iter(looks)
            .map(|(user, _)| looker.look(user, Reason::default()))
            .buffer_unordered(LOOKS_MAX);
        while let Some(look) = looks.next().await {
            // What it leaves open is a session whose edge has no lease, and comes with the sweep.
            look?;
            users += 1;
        }
        from = next;
    }
    let (mut edges, mut from) = (std::collections::BTreeSet::new(), Some(1));
    while let Some(seq) = from {
        let (page, next) = looker.store.sessions_page_of_all(seq).await?;
        let open = page.iter().filter(|stored| stored.session.is_some());
        edges.extend(open.map(|stored| stored.edge));
        from = next;
    }
    // Of the end of a lease that left a marker, the consumer of the edges tells.
    edges.retain(|edge| !looker.leases.knows(*edge));
    if !edges.is_empty() {
        tokio::time::sleep(looker.leases.settles_in()).await;
    }
    for edge in edges {
        // What it leaves open are sessions younger than an orphan, of which events are on their way.
        sweep::sweep(looker, edge, Cause::Audit).await?;
    }
    Ok(users)
}
