//! What pushing reads and writes besides its consumer.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_nats::{
    Client,
    jetstream::{
        self,
        kv::{self, UpdateErrorKind},
        stream::{LastRawMessageErrorKind, Stream},
    },
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use natterjack_nats::{
    DeviceId, UserId,
    direct::{self, Bounds, DirectError},
    services::{self, accounts::RemovePush},
    subjects::{kv as keys, push},
    topology::{Bucket, PUSH_DEAD},
    wire::{DeadPush, PushJob, PushRegistration, WireError},
};
use serde::Deserialize;
use uuid::Uuid;

use super::job::{Delivered, Device};

/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the accounts service may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Registrations that are read at the same time.
const READS_MAX: usize = 32;
/// Enough for what is fetched at once, however long its entries are.
const BYTES_MAX: usize = 4 << 20;

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A direct read failed.
    #[error(transparent)]
    Direct(#[from] DirectError),
    /// JetStream did not do it.
    #[error("{what}: {why}")]
    JetStream {
        /// Which bucket or stream.
        what: &'static str,
        /// In its own words.
        why: String,
    },
    /// The accounts service did not do it.
    #[error("a registration could not be removed: {0}")]
    Accounts(WireError),
}

/// An entry of the bucket `devices`, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    push: Option<PushRegistration>,
}

/// What is known of fetched jobs.
#[derive(Debug, Default)]
pub struct Known {
    registrations: HashMap<Device, PushRegistration>,
    /// The newest revision of each key.
    revisions: HashMap<String, u64>,
}

impl Known {
    /// Where a device is reached.
    pub fn registration(&self, device: Device) -> Option<&PushRegistration> {
        self.registrations.get(&device)
    }

    /// Whether something newer stands in the place of a job.
    pub fn replaced(&self, job: &Delivered) -> bool {
        self.revisions
            .get(&job.key())
            .is_some_and(|newest| *newest > job.revision)
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    context: jetstream::Context,
    devices: kv::Store,
    pushes: kv::Store,
    dead: Stream<()>,
}

impl Store {
    /// Opens what is needed.
    ///
    /// # Errors
    /// NATS is away, or the cluster is not provisioned.
    pub async fn open(client: Client) -> Result<Self, StoreError> {
        let context = jetstream::new(client.clone());
        let open = async |bucket: Bucket| {
            let store = context.get_key_value(bucket.name()).await;
            store.map_err(|error| failed(bucket.name(), &error))
        };
        let dead = context.get_stream_no_info(PUSH_DEAD).await;
        Ok(Self {
            devices: open(Bucket::Devices).await?,
            pushes: open(Bucket::Pushes).await?,
            dead: dead.map_err(|error| failed(PUSH_DEAD, &error))?,
            context,
            client,
        })
    }

    /// The context of its connection.
    pub fn context(&self) -> &jetstream::Context {
        &self.context
    }

    /// Its connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The bucket `pushes`.
    pub fn pushes(&self) -> &kv::Store {
        &self.pushes
    }

    /// The stream of pushes that were given up.
    pub fn dead(&self) -> &Stream<()> {
        &self.dead
    }

    /// What is known of these jobs, at most 1,024 of them.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn known(&self, jobs: &[Delivered]) -> Result<Known, StoreError> {
        let devices: HashSet<Device> = jobs.iter().map(|job| job.device).collect();
        let of_pushes: Vec<_> = jobs
            .iter()
            .map(|job| keys::subject(Bucket::Pushes, &job.key()))
            .collect();
        // The leader is asked for registrations, one by one: a batch comes from any replica, and one that is behind
        // does not know who has just registered, and has a device pushed that was logged out, or is somebody else's.
        let registrations = stream::iter(devices)
            .map(|device| async move { Ok((device, self.registration(device).await?)) })
            .buffer_unordered(READS_MAX)
            .try_collect::<Vec<_>>();
        let (registrations, pushes) =
            futures::future::try_join(registrations, self.last(Bucket::Pushes, &of_pushes)).await?;
        let mut known = Known::default();
        for (device, registration) in registrations {
            known
                .registrations
                .extend(registration.map(|found| (device, found)));
        }
        for message in &pushes {
            if let Some(key) = keys::key(Bucket::Pushes, &message.subject) {
                known.revisions.insert(key.to_owned(), message.seq);
            }
        }
        Ok(known)
    }

    /// Whether something newer stands in the place of a job.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn is_replaced(&self, job: &Delivered) -> Result<bool, StoreError> {
        let subject = keys::subject(Bucket::Pushes, &job.key());
        let newest = self.last(Bucket::Pushes, &[subject]).await?;
        Ok(newest.iter().any(|newest| newest.seq > job.revision))
    }

    /// Where a device is reached, as the leader has it.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn registration(&self, of: Device) -> Result<Option<PushRegistration>, StoreError> {
        let subject = keys::subject(Bucket::Devices, &keys::device(of.user, of.device));
        match self
            .devices
            .stream
            .get_last_raw_message_by_subject(&subject)
            .await
        {
            Ok(message) => Ok(registration(&message.payload, of.user, of.device)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(Bucket::Devices.name(), &error)),
        }
    }

    /// Removes a registration that is dead, but not its successor.
    ///
    /// # Errors
    /// The accounts service did not answer.
    pub async fn unregister(&self, of: Device, id: Uuid) -> Result<(), StoreError> {
        let request = RemovePush {
            user: of.user,
            device: of.device,
            id: Some(id),
        };
        let removed = services::call(&self.client, &request, CALL_TIMEOUT).await;
        removed.map_err(StoreError::Accounts)?;
        Ok(())
    }

    /// Notes that a push service has taken what an entry says. The entry itself says so from then on, and the one
    /// without the note is gone: nats-server confirms acks before it writes them, so that one that is killed
    /// forgets the last of them, and no consumer would remember that it was sent.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn note_sent(&self, push: &Delivered, now_ms: u64) -> Result<(), StoreError> {
        let what = Bucket::Pushes.name();
        let sent = PushJob {
            sent_at: Some(now_ms),
            ..push.job.clone()
        };
        let payload = serde_json::to_vec(&sent).map_err(|error| failed(what, &error))?;
        match self
            .pushes
            .update(push.key(), payload.into(), push.revision)
            .await
        {
            Ok(_) => Ok(()),
            // Something newer stands there, and is sent for itself; or this very note, whose ack was lost.
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(()),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// Stores a push that is given up, once however often it is called for the same entry.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn bury(&self, dead: &DeadPush, revision: u64) -> Result<(), StoreError> {
        let subject = push::dead(dead.channel, dead.user, dead.device);
        let payload = serde_json::to_vec(dead).map_err(|error| failed(PUSH_DEAD, &error))?;
        let id = format!("{}.{revision}.{}", dead.channel, dead.job.decided_at);
        let message = jetstream::message::PublishMessage::build()
            .payload(payload.into())
            .message_id(id);
        let sent = self.context.send_publish(subject, message).await;
        let ack = sent.map_err(|error| failed(PUSH_DEAD, &error))?.await;
        ack.map_err(|error| failed(PUSH_DEAD, &error))?;
        Ok(())
    }

    async fn last(&self, bucket: Bucket, subjects: &[String]) -> Result<Vec<direct::Direct>, StoreError> {
        let bounds = Bounds {
            messages: subjects.len(),
            bytes: BYTES_MAX,
            timeout: READ_TIMEOUT,
        };
        let stream = bucket.stream_name();
        let batch = direct::last_by_subject(&self.client, &stream, subjects, bounds).await?;
        Ok(batch.messages)
    }
}

fn registration(payload: &[u8], user: UserId, device: DeviceId) -> Option<PushRegistration> {
    // A mark that the device was removed.
    if payload.is_empty() {
        return None;
    }
    match serde_json::from_slice::<Entry>(payload) {
        Ok(entry) => entry.push,
        Err(error) => {
            tracing::error!(%user, %device, %error, "an entry in the bucket devices does not decode; taking it for none");
            None
        }
    }
}

pub(super) fn failed(what: &'static str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::JetStream {
        what,
        why: error.to_string(),
    }
}
