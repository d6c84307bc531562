//! Who is there at the end: what is true, what is stored, and what every watcher was told last.

use std::time::Duration;

use anyhow::Context;
use natterjack_nats::{
    cluster,
    subjects::kv,
    topology::Bucket,
    wire::{DeviceSession, PresenceRecord},
};
use tokio::time::{Instant, sleep};

use super::{crowd::Crowd, stage::Stage};
use crate::{
    check::{Sessions, presence},
    fleet::audit,
};

const POLL: Duration = Duration::from_millis(100);

/// Lets some leave and some go to the background, waits until everything has come to rest, and
/// compares; how much was compared.
///
/// # Errors
/// What is not right in time: the broken promise, if it comes to rest with one.
pub async fn at_rest(stage: &Stage, crowd: &Crowd, within: Duration) -> anyhow::Result<usize> {
    let client = cluster::connect(&stage.nats.urls(), "natterjack torture", |_| {}).await?;
    let truth = crowd.part().await?;
    let deadline = Instant::now() + within;
    loop {
        let (mut sessions, mut entries) = (Sessions::new(), Vec::new());
        for (key, session) in audit::bucket::<DeviceSession>(&client, Bucket::Sessions).await? {
            let (_, user, device) = kv::parse_session(&key).with_context(|| format!("the key {key}"))?;
            *sessions.entry((user, device)).or_default() |= session.active;
            entries.push((user.to_string(), format!("{key}: {session:?}")));
        }
        let mut stored = Vec::new();
        for (key, record) in audit::bucket::<PresenceRecord>(&client, Bucket::Presence).await? {
            stored.push((key.parse()?, record.state));
        }
        let agreed = crowd.recorder.with_journal(|journal| {
            journal.at_the_end(stored, sessions, truth.clone());
            presence(journal)
        });
        match agreed {
            Ok(compared) => return Ok(compared),
            Err(mut violation) if Instant::now() > deadline => {
                // Which edge says so tells most about why.
                entries.retain(|(user, _)| violation.what.contains(user));
                violation
                    .around
                    .extend(entries.into_iter().map(|(_, entry)| entry));
                return Err(violation.into());
            }
            Err(_) => sleep(POLL).await,
        }
    }
}
