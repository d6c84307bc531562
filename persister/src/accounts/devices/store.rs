//! Reading and writing entries of the bucket `devices`.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    kv::{self, UpdateErrorKind},
    stream::LastRawMessageErrorKind,
};
use futures::TryStreamExt as _;
use natterjack_nats::{DeviceId, UserId, direct, subjects, topology::Bucket, wire::Device};
use serde::{Serialize, de::DeserializeOwned};

use super::{DeviceError, Devices, record::Record};

/// An entry that may be absent, with the revision that a change must name.
pub struct Entry<T> {
    /// Absent too where it was deleted.
    pub value: Option<T>,
    /// 0 if there never was one.
    pub revision: u64,
}

impl<T> Entry<T> {
    /// What was never written.
    pub const NONE: Self = Self {
        value: None,
        revision: 0,
    };
}

impl Devices {
    /// All devices of a user, the one that was here last first.
    ///
    /// Any server that has a copy answers: one that is behind may leave out what was written a moment ago.
    pub async fn list(&self, user: UserId) -> Result<Vec<Device>, DeviceError> {
        let filter = format!("{}{}", self.devices.prefix, subjects::kv::devices_of(user));
        // Markers of revoked devices stay for a day, so there may be far more entries than devices.
        let entries = direct::lasts(&self.client, &self.devices.stream_name, &[filter]).await;
        let entries = entries.map_err(|error| failed(Bucket::Devices, &error))?;
        let device = |message: &direct::Direct| {
            let key = message.subject.strip_prefix(&self.devices.prefix)?;
            let (_, id) = subjects::kv::parse_device(key)?;
            // Markers of what was deleted have no payload.
            let record: Record = serde_json::from_slice(&message.payload).ok()?;
            Some(record.shown(id))
        };
        let mut devices: Vec<Device> = entries.iter().filter_map(device).collect();
        devices.sort_by_key(|device| std::cmp::Reverse((device.last_seen, device.id)));
        Ok(devices)
    }

    /// The ids of all devices of a user, and of some that are revoked, as the bucket's leader knows them:
    /// none that was registered before this was asked is left out.
    pub(super) async fn ids(&self, user: UserId) -> Result<BTreeSet<DeviceId>, DeviceError> {
        let filter = format!("{}{}", self.devices.prefix, subjects::kv::devices_of(user));
        let away = |error: &dyn std::fmt::Display| failed(Bucket::Devices, error);
        // Only a stream's leader answers for its state.
        let subjects = self.devices.stream.info_with_subjects(filter).await;
        let mut subjects = subjects.map_err(|error| away(&error))?;
        let mut ids = BTreeSet::new();
        while let Some((subject, _)) = subjects.try_next().await.map_err(|error| away(&error))? {
            let key = subjects::kv::key(Bucket::Devices, &subject);
            ids.extend(key.and_then(subjects::kv::parse_device).map(|(_, id)| id));
        }
        Ok(ids)
    }

    pub(super) async fn read(&self, user: UserId, device: DeviceId) -> Result<Entry<Record>, DeviceError> {
        let key = subjects::kv::device(user, device);
        read(&self.devices, Bucket::Devices, &key, |payload| {
            decode(payload, Bucket::Devices)
        })
        .await
    }

    /// Whether it was written: not if somebody else wrote since `revision`, or if the answer got
    /// lost, when reading again tells.
    pub(super) async fn write(
        &self,
        user: UserId,
        device: DeviceId,
        record: &Record,
        revision: u64,
    ) -> Result<bool, DeviceError> {
        let key = subjects::kv::device(user, device);
        let value = encode(record, Bucket::Devices)?;
        write(&self.devices, Bucket::Devices, &key, value, revision).await
    }
}

/// An entry as the bucket's leader has it.
pub async fn read<T>(
    store: &kv::Store,
    bucket: Bucket,
    key: &str,
    decode: impl FnOnce(&[u8]) -> Result<T, DeviceError>,
) -> Result<Entry<T>, DeviceError> {
    let subject = subjects::kv::subject(bucket, key);
    match store.stream.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => Ok(Entry {
            // Markers of what was deleted have no payload.
            value: match &*message.payload {
                [] => None,
                payload => Some(decode(payload)?),
            },
            revision: message.sequence,
        }),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Entry::NONE),
        Err(error) => Err(failed(bucket, &error)),
    }
}

/// As [`Devices::write`], in any bucket.
pub async fn write(
    store: &kv::Store,
    bucket: Bucket,
    key: &str,
    value: Vec<u8>,
    revision: u64,
) -> Result<bool, DeviceError> {
    match store.update(key, value.into(), revision).await {
        Ok(_) => Ok(true),
        Err(error) if is_contended(error.kind()) => Ok(false),
        Err(error) => Err(failed(bucket, &error)),
    }
}

/// Removes an entry and leaves a marker for a while. Whether it was: as for [`write`].
pub async fn purge(
    store: &kv::Store,
    bucket: Bucket,
    key: &str,
    revision: u64,
    marker: Duration,
) -> Result<bool, DeviceError> {
    match store.purge_expect_revision_with_ttl(key, revision, marker).await {
        Ok(()) => Ok(true),
        Err(error) if is_contended(error.kind()) => Ok(false),
        Err(error) => Err(failed(bucket, &error)),
    }
}

pub fn encode(value: &impl Serialize, bucket: Bucket) -> Result<Vec<u8>, DeviceError> {
    serde_json::to_vec(value).map_err(|error| failed(bucket, &error))
}

fn decode<T: DeserializeOwned>(payload: &[u8], bucket: Bucket) -> Result<T, DeviceError> {
    serde_json::from_slice(payload).map_err(|error| failed(bucket, &error))
}

pub fn failed(bucket: Bucket, error: &dyn std::fmt::Display) -> DeviceError {
    DeviceError::Bucket {
        bucket: bucket.name(),
        why: error.to_string(),
    }
}

/// Whether reading again tells what became of a change.
const fn is_contended(kind: UpdateErrorKind) -> bool {
    matches!(
        kind,
        UpdateErrorKind::WrongLastRevision | UpdateErrorKind::TimedOut
    )
}
