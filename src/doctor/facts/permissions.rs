//! Whether each user gets in with its key, and is refused what it must not do.
//!
//! What is tried does no harm where it is allowed after all: to listen for a moment, and to delete a stream
//! that does not exist.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, Event, ServerError};
use natterjack_nats::{access::User, cluster, subjects::system};
use tokio::time::{Instant, sleep, timeout};

use super::{Missing, Seen};
use crate::doctor::args::Args;

const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// A refusal comes behind what was asked, on the same connection.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// A user, and what came of trying it.
#[derive(Debug)]
pub struct Tried {
    /// Who.
    pub user: User,
    /// What it may do and should not; or why it does not get in.
    pub allowed: Result<Vec<String>, String>,
}

/// Tries every user whose key is in the folder.
pub async fn look(args: &Args) -> Seen<Vec<Tried>> {
    let keys: Vec<(User, PathBuf)> = User::ALL
        .iter()
        .filter_map(|user| Some((*user, args.file(&format!("nkeys/{user}.nk"))?)))
        .collect();
    if keys.is_empty() {
        return Err(Missing::not_given(
            "there are no keys of the roles to try",
            "give --config DIR, as `natterjack provision --write-config DIR` wrote it",
        ));
    }
    let tries = keys.into_iter().map(|(user, key)| async move {
        let allowed = tried(args, user, key).await;
        Tried { user, allowed }
    });
    Ok(futures::future::join_all(tries).await)
}

async fn tried(args: &Args, user: User, key: PathBuf) -> Result<Vec<String>, String> {
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&refusals);
    let connecting = cluster::connect(
        args.with_key(key, user),
        "natterjack doctor (keys)",
        move |event| {
            if let Event::ServerError(ServerError::Other(words)) = event {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(words);
            }
        },
    );
    let client = timeout(CONNECTED_WITHIN, connecting)
        .await
        .map_err(|_| "it does not get in within 5 s".to_owned())?
        .map_err(|error| error.to_string())?;
    let subjects = ask(&client, user).await.map_err(|error| error.to_string())?;
    let deadline = Instant::now() + REFUSED_WITHIN;
    loop {
        let refused = refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let allowed: Vec<String> = subjects
            .iter()
            .filter(|subject| {
                !refused
                    .iter()
                    .any(|words| words.contains(&format!("\"{subject}\"")))
            })
            .cloned()
            .collect();
        if allowed.is_empty() || Instant::now() > deadline {
            return Ok(allowed);
        }
        sleep(POLL).await;
    }
}

/// Asks for what this user must not have; answers the subjects.
async fn ask(client: &Client, user: User) -> anyhow::Result<Vec<String>> {
    let mut subjects = Vec::new();
    // Who repairs may do everything; and who asks the servers has an account of its own, where the same
    // subjects lead to nothing of ours.
    if matches!(user, User::Admin | User::System) {
        return Ok(subjects);
    }
    let mut listened = vec![system::inboxes(&User::Admin.inbox_prefix())];
    if matches!(user, User::Provision | User::Operator) {
        listened.push(system::MESSAGES.to_owned());
    }
    for subject in listened {
        let mut subscription = client.subscribe(subject.clone()).await?;
        subscription.unsubscribe().await?;
        subjects.push(subject);
    }
    let subject = system::delete_stream("natterjack-doctor-tries");
    client.publish(subject.clone(), Vec::new().into()).await?;
    subjects.push(subject);
    client.flush().await?;
    Ok(subjects)
}
