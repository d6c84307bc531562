//! The key pair of Web Push: made once, never overwritten.
//!
//! Browsers bind their subscriptions to the public key, so that a lost private key cannot be had anew: it
//! would cost every browser its subscription. The private half is written first; the public one, which
//! clients read, says from then on that there has to be a private one.

use async_nats::jetstream::{
    Context,
    kv::{CreateErrorKind, Store},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{Drift, ProvisionError, Report, refused};
use crate::{
    subjects::kv::{cluster, push_keys},
    topology::Bucket,
    wire::VapidKey,
};

/// What the report calls it.
const WHAT: &str = "key vapid";

/// Makes the pair if there is none, and tells the clients its public half.
pub(super) async fn ensure(
    context: &Context,
    apply: bool,
    report: &mut Report,
) -> Result<(), ProvisionError> {
    let keys = open(context, Bucket::PushKeys).await?;
    let told = open(context, Bucket::Cluster).await?;
    // In this order: what is public now had a private half before.
    let public = read(&told, cluster::VAPID).await?;
    let key = match read(&keys, push_keys::VAPID).await? {
        Some(value) => parse(&value)?,
        None if public.is_some() => return Err(lost()),
        None => make(&keys, report).await?,
    };
    match public {
        None => match told.create(cluster::VAPID, key.public_key.clone().into()).await {
            Ok(_) => Ok(()),
            // Another process was faster, with the same key.
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(refused(WHAT, &error)),
        },
        Some(public) if public == key.public_key.as_bytes() => Ok(()),
        Some(_) if apply => {
            let put = told.put(cluster::VAPID, key.public_key.into()).await;
            put.map_err(|error| refused(WHAT, &error))?;
            report.updated.push(WHAT.to_owned());
            Ok(())
        }
        Some(public) => {
            report.drift.push(Drift {
                of: WHAT.to_owned(),
                setting: "public half in the bucket cluster".to_owned(),
                found: String::from_utf8_lossy(&public).into_owned(),
                wanted: key.public_key,
                refused: None,
            });
            Ok(())
        }
    }
}

/// How it stands with the key pair of Web Push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushKeys {
    /// Both halves are there and belong together.
    Pair,
    /// There is none yet.
    None,
}

/// Looks at the pair and changes nothing; who asks must be allowed to read the bucket `push_keys`.
///
/// # Errors
/// A half is lost, or they do not belong together; or the server did not answer, or not this user.
pub async fn inspect_push_keys(context: &Context) -> Result<PushKeys, ProvisionError> {
    let keys = open(context, Bucket::PushKeys).await?;
    let told = open(context, Bucket::Cluster).await?;
    let public = read(&told, cluster::VAPID).await?;
    match (read(&keys, push_keys::VAPID).await?, public) {
        (None, None) => Ok(PushKeys::None),
        (None, Some(_)) => Err(lost()),
        (Some(value), public) => match (parse(&value)?, public) {
            (key, Some(public)) if public == key.public_key.as_bytes() => Ok(PushKeys::Pair),
            (_, Some(_)) => Err(refused(
                WHAT,
                &"the public half in the bucket cluster is that of another pair",
            )),
            (_, None) => Ok(PushKeys::None),
        },
    }
}

async fn open(context: &Context, bucket: Bucket) -> Result<Store, ProvisionError> {
    let opened = context.get_key_value(bucket.name()).await;
    opened.map_err(|error| refused(&format!("bucket {}", bucket.name()), &error))
}

async fn read(bucket: &Store, key: &str) -> Result<Option<Vec<u8>>, ProvisionError> {
    let value = bucket.get(key).await.map_err(|error| refused(WHAT, &error))?;
    Ok(value.map(Into::into))
}

/// Create, not put: of two that make one at once, the second takes the first's.
async fn make(keys: &Store, report: &mut Report) -> Result<VapidKey, ProvisionError> {
    let key = generate()?;
    let value = serde_json::to_vec(&key).map_err(|error| refused(WHAT, &error))?;
    match keys.create(push_keys::VAPID, value.into()).await {
        Ok(_) => {
            report.created.push(WHAT.to_owned());
            Ok(key)
        }
        Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
            let found = read(keys, push_keys::VAPID).await?;
            // A replica that lags may not have it yet.
            parse(&found.ok_or_else(|| refused(WHAT, &"another process makes it now; run again"))?)
        }
        Err(error) => Err(refused(WHAT, &error)),
    }
}

fn generate() -> Result<VapidKey, ProvisionError> {
    let failed = |_| refused(WHAT, &"no randomness could be had");
    let random = SystemRandom::new();
    let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
    let public_key = public_of(private.as_ref()).ok_or_else(|| refused(WHAT, &"was made wrong"))?;
    let now_ms = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    Ok(VapidKey {
        private_key: BASE64_URL_SAFE_NO_PAD.encode(private),
        public_key,
        created_at: now_ms.try_into().unwrap_or_default(),
    })
}

fn public_of(pkcs8: &[u8]) -> Option<String> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(pair.public_key()))
}

/// What is in the bucket, if it is a pair whose halves belong together.
fn parse(value: &[u8]) -> Result<VapidKey, ProvisionError> {
    let key: VapidKey = serde_json::from_slice(value).map_err(|_| broken())?;
    let private = BASE64_URL_SAFE_NO_PAD
        .decode(&key.private_key)
        .map_err(|_| broken())?;
    if public_of(&private).as_ref() != Some(&key.public_key) {
        return Err(broken());
    }
    Ok(key)
}

fn broken() -> ProvisionError {
    refused(
        WHAT,
        &"what the bucket push_keys has under vapid is no key pair: put it back from a backup, for without \
          it no browser that has subscribed can be pushed",
    )
}

fn lost() -> ProvisionError {
    refused(
        WHAT,
        &"the bucket push_keys has lost the private half that browsers have subscribed with: put it back \
          from a backup; or delete vapid from the bucket cluster and run again, and every browser has to \
          subscribe anew",
    )
}
