//! `svc.accounts`: sign-up, login, tokens, profiles, devices.
//!
//! Users are in Postgres, devices in the bucket `devices`, and access tokens nowhere: they are
//! signed with keys whose private halves only Postgres has.

mod devices;
mod errors;
mod keys;
mod login;
pub mod names;
mod passwords;
mod people;
pub mod push;
mod refresh;
pub mod users;

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::kv;
use natterjack_nats::{
    services::{accounts as verbs, names as services},
    topology::Bucket,
};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks};
use natterjack_service::Host;

use self::{
    devices::Devices,
    keys::{KeyError, Keys, SigningKey},
    passwords::{Argon2Cost, Passwords},
};
use crate::{
    Args, Shared,
    db::{Db, Tx},
};

/// How often a persister looks after the keys: learns of a rotation, or does one.
const KEYS_EVERY: Duration = Duration::from_mins(10);
/// The same after a failure.
const KEYS_RETRY: Duration = Duration::from_secs(10);

/// All that the verbs need; cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    db: Db,
    devices: Devices,
    passwords: Passwords,
    keys: Keys,
    clock: Clock,
}

/// Starts the service `accounts`, and the task that looks after the keys of access tokens.
///
/// # Errors
/// NATS, a bucket or Postgres is away, or the argon2 options are out of range.
pub async fn start(shared: &Shared, args: &Args, host: &Host, tasks: &Tasks) -> anyhow::Result<()> {
    let bucket = Bucket::Cluster.name();
    let cluster = shared.jetstream.get_key_value(bucket).await;
    let cluster = cluster.with_context(|| format!("cannot open the bucket {bucket}"))?;
    let key = look_after_keys(&shared.db, &cluster, &shared.clock).await?;
    let lifetime = Duration::from_mins(args.access_token_minutes.into());
    let cost = Argon2Cost {
        memory_kib: args.argon2_memory_kib,
        passes: args.argon2_passes,
        ..Argon2Cost::default()
    };
    let accounts = Accounts {
        db: shared.db.clone(),
        devices: Devices::open(&shared.jetstream, shared.client.clone(), shared.clock.clone()).await?,
        passwords: Passwords::new(cost).await?,
        keys: Keys::new(key, lifetime),
        clock: shared.clock.clone(),
    };
    let (keys, caretaker) = (accounts.keys.clone(), shared.clone());
    crate::until_drain(tasks, "signing_keys", async move {
        keep_keys(&keys, &caretaker, &cluster).await;
    });
    host_verbs(&accounts, host).await
}

async fn host_verbs(accounts: &Accounts, host: &Host) -> anyhow::Result<()> {
    let service = host
        .service(services::ACCOUNTS, "Sign-up, login, tokens, profiles, devices")
        .await?;
    let verb = |accounts: Accounts, request: verbs::SignUp| async move { accounts.sign_up(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::LogIn| async move { accounts.log_in(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::Refresh| async move { accounts.refresh(request).await };
    service.verb(accounts, verb).await?;
    let verb =
        |accounts: Accounts, request: verbs::RevokeDevice| async move { accounts.revoke(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::RevokeOthers| async move {
        accounts.revoke_others(request).await
    };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::External| async move { accounts.external(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::Profiles| async move { accounts.profiles(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::FindUsers| async move { accounts.find(request).await };
    service.verb(accounts, verb).await?;
    let verb =
        |accounts: Accounts, request: verbs::SetProfile| async move { accounts.set_profile(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::Devices| async move { accounts.devices(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::SetPush| async move { accounts.set_push(request).await };
    service.verb(accounts, verb).await?;
    let verb =
        |accounts: Accounts, request: verbs::RemovePush| async move { accounts.remove_push(request).await };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::SetPushPreview| async move {
        accounts.set_push_preview(request).await
    };
    service.verb(accounts, verb).await?;
    let verb = |accounts: Accounts, request: verbs::Settings| async move { accounts.settings(request).await };
    service.verb(accounts, verb).await
}

async fn look_after_keys(db: &Db, cluster: &kv::Store, clock: &Clock) -> Result<SigningKey, KeyError> {
    let now_ms = millis(clock.now_ms());
    let work = |tx: Tx| async move { keys::look_after(&tx, cluster, now_ms).await };
    db.tx("accounts.keys", work).await
}

async fn keep_keys(keys: &Keys, shared: &Shared, cluster: &kv::Store) {
    let mut pause = KEYS_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = match look_after_keys(&shared.db, cluster, &shared.clock).await {
            Ok(key) => {
                keys.replace(key);
                KEYS_EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "could not look after the keys of access tokens; the old one still signs");
                KEYS_RETRY
            }
        };
    }
}

/// Unix milliseconds as Postgres keeps them.
pub(crate) fn millis(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}
