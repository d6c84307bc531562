//! The micro service `presence`.

use natterjack_nats::{
    limits::WATCH_USERS_MAX,
    services::{
        Done, names,
        presence::{Known, OpenSession, Query, Sessions, SetPrivacy},
    },
    wire::{Code, WireError},
};
use natterjack_service::Host;

use crate::{decide::Fate, evaluate::Looker, store::StoreError};

/// How often a change of privacy is tried against looks that write the same record.
const TRIES: usize = 16;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// For a reason that the caller is told as it is.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A bucket did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for WireError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Wire(error) => error,
            Failure::Store(StoreError::Contended) => {
                Self::new(Code::Overloaded, "too many changes at once; try again").retry_after_ms(200)
            }
            Failure::Store(error) => {
                tracing::warn!(%error, "presence cannot be read or written");
                Self::new(Code::Unavailable, "presence is away for now; try again soon").retry_after_ms(1_000)
            }
        }
    }
}

/// Registers the service.
///
/// # Errors
/// NATS is away.
pub async fn start(looker: &Looker, host: &Host) -> anyhow::Result<()> {
    let service = host
        .service(
            names::PRESENCE,
            "Who is there, through which edges, and who may see it",
        )
        .await?;
    service.verb(looker, query).await?;
    service.verb(looker, sessions).await?;
    service.verb(looker, set_privacy).await
}

async fn query(looker: Looker, query: Query) -> Result<Vec<Known>, Failure> {
    if query.users.len() > WATCH_USERS_MAX {
        let told = format!("ask for at most {WATCH_USERS_MAX} users at once");
        return Err(WireError::new(Code::BadRequest, told).into());
    }
    let records = looker.store.records(&query.users).await?;
    let known = query.users.into_iter().zip(records);
    Ok(known
        .map(|(user, (record, revision))| Known {
            user,
            revision,
            record,
        })
        .collect())
}

async fn sessions(looker: Looker, query: Sessions) -> Result<Vec<OpenSession>, Failure> {
    let mut open = Vec::new();
    for stored in looker.store.sessions_of(query.user, 0).await? {
        let Some(session) = stored.session else { continue };
        let entry = looker
            .leases
            .judge(stored.edge, &session, stored.stored_ms)
            .await?;
        if matches!(entry.fate, Fate::Open { .. }) {
            open.push(OpenSession {
                device: stored.device,
                edge: stored.edge,
                active: session.active,
                since: session.since,
            });
        }
    }
    Ok(open)
}

async fn set_privacy(looker: Looker, change: SetPrivacy) -> Result<Done, Failure> {
    for _ in 0..TRIES {
        let (mut record, revision) = looker.store.record(change.user).await?;
        if record.privacy == change.privacy {
            return Ok(Done {});
        }
        record.privacy = change.privacy;
        if looker.store.write(change.user, &record, revision).await? {
            return Ok(Done {});
        }
    }
    Err(StoreError::Contended.into())
}
