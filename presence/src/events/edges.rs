//! Events of the bucket `edges`: a lease was written, deleted, or expired.
//!
//! A lease that is rewritten is news only under a new epoch: then what the edge had before is gone, and
//! it may be that nobody heard the end of it. What this process has swept it remembers, so that it looks
//! once at each edge and epoch. An end is held until the sweep is through, or handed back.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use natterjack_nats::{EdgeId, subjects::kv as keys, topology::Bucket};
use tokio::{sync::mpsc, task::JoinSet};

use super::{Event, FAILED_PAUSE};
use crate::{
    evaluate::Looker,
    leases::{Holding, Known},
    store::{self, StoreError},
    sweep::{self, Cause, Swept},
};

/// Sweeps of one process at once.
const SWEEPS_MAX: usize = 8;
/// How often the consumer is told that an end is still worked at; less than half its ack wait.
const PROGRESS: Duration = Duration::from_secs(3);

/// How far an edge was swept under its present lease.
enum Done {
    /// All that was there before this epoch.
    Swept(u64),
    /// Not all; not to be tried before.
    NotBefore(Instant),
}

/// Handles events until none come any more or the drain begins.
pub async fn follow(looker: Looker, mut events: mpsc::Receiver<Event>) {
    let mut sweeps: JoinSet<(EdgeId, Option<Done>)> = JoinSet::new();
    // `None` while it is swept.
    let mut done: HashMap<EdgeId, Option<Done>> = HashMap::new();
    loop {
        tokio::select! {
            event = events.recv(), if sweeps.len() < SWEEPS_MAX => {
                let Some(event) = event else { break };
                let Some((edge, holding)) = read(&looker, &event).await else { continue };
                if let Holding::Held(lease) = &holding {
                    // Whatever becomes of it, the next one is here in two seconds.
                    event.done().await;
                    match done.get(&edge) {
                        Some(None) => continue,
                        Some(Some(Done::Swept(epoch))) if *epoch == lease.epoch => continue,
                        Some(Some(Done::NotBefore(at))) if *at > Instant::now() => continue,
                        _ => {}
                    }
                    done.insert(edge, None);
                    sweeps.spawn(renewed(looker.clone(), edge, lease.epoch));
                } else if matches!(done.get(&edge), Some(None)) {
                    event.later(FAILED_PAUSE).await;
                } else {
                    done.insert(edge, None);
                    sweeps.spawn(gone(looker.clone(), edge, event));
                }
            },
            Some(ended) = sweeps.join_next() => match ended {
                Ok((edge, Some(swept))) => { done.insert(edge, Some(swept)); }
                Ok((edge, None)) => { done.remove(&edge); }
                Err(error) => {
                    tracing::error!(%error, "a sweep died");
                    done.retain(|_, done| done.is_some());
                }
            },
        }
        // Of those whose end went to another process.
        done.retain(|edge, done| done.is_none() || looker.leases.holds(*edge));
    }
    while sweeps.join_next().await.is_some() {}
}

/// What an event tells; `None` if it is settled by that.
async fn read(looker: &Looker, event: &Event) -> Option<(EdgeId, Holding)> {
    let message = &event.message;
    let edge = keys::key(Bucket::Edges, &message.subject).and_then(|key| key.parse().ok());
    let Some(edge) = edge else {
        tracing::error!(subject = %message.subject, "a key in the bucket edges is none; ignoring it");
        event.done().await;
        return None;
    };
    let none = HeaderMap::new();
    let headers = message.headers.as_ref().unwrap_or(&none);
    let holding = store::holding(&message.payload, headers, event.stored_ms);
    let known = Known {
        holding: holding.clone(),
        revision: event.seq,
        stored_ms: event.stored_ms,
    };
    looker.leases.note(edge, known);
    if matches!(holding, Holding::Gone { .. }) && store::expired(headers) {
        let settles_in = looker.leases.settles_in();
        if !settles_in.is_zero() {
            looker.metrics.put_off("settling");
            event.later(settles_in).await;
            return None;
        }
    }
    Some((edge, holding))
}

/// Sweeps what an edge had before this epoch.
async fn renewed(looker: Looker, edge: EdgeId, epoch: u64) -> (EdgeId, Option<Done>) {
    let swept = until_drain(&looker, sweep::sweep(&looker, edge, Cause::Renewed { epoch })).await;
    let done = match swept {
        Some(Ok(Swept::All)) => Some(Done::Swept(epoch)),
        Some(Ok(Swept::Part(after))) => Some(Done::NotBefore(Instant::now() + after)),
        Some(Err(error)) => {
            failed(&looker, edge, &error);
            None
        }
        None => None,
    };
    (edge, done)
}

/// Sweeps all that an edge had that is gone, and settles the event that said so.
async fn gone(looker: Looker, edge: EdgeId, event: Event) -> (EdgeId, Option<Done>) {
    let work = until_drain(
        &looker,
        sweep::sweep(
            &looker,
            edge,
            Cause::Gone {
                at_ms: event.stored_ms,
            },
        ),
    );
    let mut progress = tokio::time::interval(PROGRESS);
    progress.tick().await;
    tokio::pin!(work);
    let swept = loop {
        tokio::select! {
            swept = &mut work => break swept,
            _ = progress.tick() => event.progress().await,
        }
    };
    match swept {
        Some(Ok(Swept::All)) => event.done().await,
        Some(Ok(Swept::Part(after))) => {
            looker.metrics.put_off("sweep");
            event.later(after).await;
        }
        Some(Err(error)) => {
            failed(&looker, edge, &error);
            event.later(FAILED_PAUSE).await;
        }
        None => event.later(Duration::ZERO).await,
    }
    (edge, None)
}

fn failed(looker: &Looker, edge: EdgeId, error: &StoreError) {
    looker.metrics.failed();
    tracing::warn!(%edge, %error, "an edge could not be swept; trying again");
}

async fn until_drain<T>(looker: &Looker, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = looker.shutdown.draining() => None,
    }
}
