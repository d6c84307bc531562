//! Events of the bucket `sessions`: a device came, changed or went.
//!
//! An event is done with once a look that it caused has written the record, or once a look at least a
//! grace after it found nothing to write (see [`crate::evaluate`]). Until then it waits in the consumer,
//! and not in memory. Several events of one user that wait here share one look.

use std::{collections::HashMap, time::Duration};

use natterjack_nats::{DeviceId, EdgeId, UserId, headers, subjects::kv as keys, topology::Bucket};
use tokio::{sync::mpsc, task::JoinSet};

use super::{Event, FAILED_PAUSE};
use crate::{
    decide::Fate,
    evaluate::{LOOKS_MAX, Look, Looker, Reason},
    leases::ORPHAN_MS,
    store,
};

/// An event with what its key says.
struct Change {
    event: Event,
    edge: EdgeId,
    device: DeviceId,
    /// Whether the session ended.
    ended: bool,
}

/// Handles events until none come any more, then finishes what is under way.
pub async fn follow(looker: Looker, mut events: mpsc::Receiver<Event>) {
    let mut looks: JoinSet<UserId> = JoinSet::new();
    // Who is looked at, and what has come meanwhile.
    let mut waiting: HashMap<UserId, Vec<Change>> = HashMap::new();
    let mut open = true;
    while open || !looks.is_empty() {
        tokio::select! {
            event = events.recv(), if open && looks.len() < LOOKS_MAX => match event {
                Some(event) => {
                    let Some((user, change)) = read(&looker, event).await else { continue };
                    if let Some(more) = waiting.get_mut(&user) {
                        more.push(change);
                    } else {
                        waiting.insert(user, Vec::new());
                        looks.spawn(settle(looker.clone(), user, vec![change]));
                    }
                }
                None => open = false,
            },
            Some(ended) = looks.join_next() => match ended {
                Ok(user) => {
                    let more = waiting.remove(&user).unwrap_or_default();
                    if !more.is_empty() {
                        waiting.insert(user, Vec::new());
                        looks.spawn(settle(looker.clone(), user, more));
                    }
                }
                Err(error) => {
                    // Its events come again; whose they were is not known any more, and those who wait
                    // for it come again as well.
                    tracing::error!(%error, "a look at a user died");
                    waiting.clear();
                }
            },
        }
    }
}

/// What an event tells; `None` if it is settled by that.
async fn read(looker: &Looker, event: Event) -> Option<(UserId, Change)> {
    let key = keys::key(Bucket::Sessions, &event.message.subject);
    let Some((edge, user, device)) = key.and_then(keys::parse_session) else {
        tracing::error!(subject = %event.message.subject, "a key in the bucket sessions is none; ignoring it");
        event.done().await;
        return None;
    };
    let headers = event.message.headers.as_ref();
    if headers.is_some_and(|headers| headers.get(headers::SWEPT).is_some()) {
        event.done().await;
        return None;
    }
    let session = store::session(&event.message.payload, key.unwrap_or_default());
    if let Some(session) = &session {
        looker.leases.stir(edge, session.epoch);
    } else {
        // An end can only lower, and that waits for the grace.
        let rest = looker.graced_for(event.stored_ms);
        if !rest.is_zero() {
            looker.metrics.put_off("grace");
            event.later(rest).await;
            return None;
        }
    }
    let ended = session.is_none();
    Some((
        user,
        Change {
            event,
            edge,
            device,
            ended,
        },
    ))
}

/// Looks at a user and settles the events that gave reason to.
async fn settle(looker: Looker, user: UserId, changes: Vec<Change>) -> UserId {
    let reason = Reason {
        seq: changes.iter().map(|change| change.event.seq).max().unwrap_or(0),
        event_ms: changes
            .iter()
            .map(|change| change.event.stored_ms)
            .min()
            .unwrap_or(0),
        gone: None,
    };
    let look = match looker.look(user, reason).await {
        Ok(look) => look,
        Err(error) => {
            failed(&looker, user, &error, &changes).await;
            return user;
        }
    };
    for change in &changes {
        match finish(&looker, user, change, &look).await {
            Ok(None) => change.event.done().await,
            Ok(Some((why, after))) => {
                looker.metrics.put_off(why);
                change.event.later(after).await;
            }
            Err(error) => failed(&looker, user, &error, std::slice::from_ref(change)).await,
        }
    }
    user
}

async fn failed(looker: &Looker, user: UserId, error: &store::StoreError, changes: &[Change]) {
    looker.metrics.failed();
    tracing::debug!(%user, %error, "a look failed; it is done again");
    for change in changes {
        change.event.later(FAILED_PAUSE).await;
    }
}

/// What is left to do for an event after a look; with why and when it comes again, if it does.
async fn finish(
    looker: &Looker,
    user: UserId,
    change: &Change,
    look: &Look,
) -> Result<Option<(&'static str, Duration)>, store::StoreError> {
    let event = &change.event;
    if change.ended {
        looker
            .store
            .note_last_seen(user, change.device, event.stored_ms)
            .await?;
    }
    let own = look.sessions.iter().find(|(stored, _)| stored.seq == event.seq);
    if let Some((_, Fate::Lost | Fate::Doubtful { .. })) = own {
        let age_ms = looker.time.now_ms().saturating_sub(event.stored_ms);
        let lost = own.is_some_and(|(_, fate)| *fate == Fate::Lost);
        if !lost || age_ms < ORPHAN_MS {
            return Ok(Some(("lease", Duration::from_secs(1))));
        }
        // Its user was looked at without it; nobody stands for it, and nobody will remove it.
        looker
            .store
            .remove_session(change.edge, user, change.device, event.seq)
            .await?;
        looker.metrics.orphans.inc();
        return Ok(None);
    }
    if let Some(again) = look.again {
        return Ok(Some(("grace", again)));
    }
    let rest = looker.graced_for(event.stored_ms);
    Ok((!look.wrote && !rest.is_zero()).then_some(("unwritten", rest)))
}
