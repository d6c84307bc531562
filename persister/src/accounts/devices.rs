//! Devices in the bucket `devices`: one entry each, changed by compare-and-set only.
//!
//! Entries are read from the bucket's leader: a replica that is a moment behind would show a
//! refresh token as unknown that was just given out.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self,
        kv::{self, UpdateErrorKind},
        stream::LastRawMessageErrorKind,
    },
};
use futures::{StreamExt, stream};
use natterjack_nats::{
    DeviceId, UserId, direct, subjects,
    topology::Bucket,
    wire::{Device, HelloDevice, Revocation},
};
use natterjack_runtime::clock::Clock;
use serde::{Deserialize, Serialize};

use super::refresh::RefreshToken;

/// Most devices of a user: one more, and the one that was away longest is revoked.
pub const DEVICES_MAX: usize = 50;
/// So many used refresh tokens of a device are known again.
const PREVIOUS_MAX: usize = 8;
/// How often a compare-and-set is tried against others that write the same entry.
const TRIES: usize = 8;
/// So many devices are revoked at the same time.
const REVOKED_AT_ONCE: usize = 16;
/// How long the marker of a revoked device stays.
const MARKER_TTL: Duration = Duration::from_hours(24);
const LIST_TIMEOUT: Duration = Duration::from_secs(3);
const LIST_BYTES_MAX: usize = 256 * 1_024;

/// Why a device's entry could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The token was valid once and is not any more: somebody else has used it, so the device is
    /// revoked.
    #[error("this refresh token was used before, so its device was logged out; log in again")]
    Reused,
    /// The device is gone, or the secret was never valid.
    #[error("this refresh token is not valid; log in again")]
    Unknown,
    /// JetStream did not do it.
    #[error("the bucket {bucket}: {why}")]
    Bucket {
        /// Which.
        bucket: &'static str,
        /// In its own words.
        why: String,
    },
}

/// What the bucket `devices` keeps of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    platform: String,
    created_at: u64,
    refreshed_at: u64,
    /// Of the current refresh token; absent on devices of outside users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_hash: Option<String>,
    /// When it was connected last, noted by presence when the connection ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_seen: Option<u64>,
    /// Of the last few that were used, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used_hashes: Vec<String>,
    /// What others keep here.
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

impl Record {
    fn new(hello: &HelloDevice, now_ms: u64) -> Self {
        Self {
            name: hello.name.clone(),
            platform: hello.platform.clone(),
            created_at: now_ms,
            refreshed_at: now_ms,
            refresh_hash: None,
            last_seen: None,
            used_hashes: Vec::new(),
            more: serde_json::Map::new(),
        }
    }

    fn rotate(&mut self, hash: String, now_ms: u64) {
        if let Some(used) = self.refresh_hash.replace(hash) {
            self.used_hashes.insert(0, used);
            self.used_hashes.truncate(PREVIOUS_MAX);
        }
        self.refreshed_at = now_ms;
    }
}

/// An entry that may be absent, with the revision that a change must name.
struct Entry {
    record: Option<Record>,
    revision: u64,
}

/// The devices of all users; cheap to clone.
#[derive(Clone)]
pub struct Devices {
    client: Client,
    devices: kv::Store,
    revocations: kv::Store,
    clock: Clock,
}

impl Devices {
    /// Opens the buckets.
    pub async fn open(
        context: &jetstream::Context,
        client: Client,
        clock: Clock,
    ) -> Result<Self, DeviceError> {
        let open = async |bucket: Bucket| {
            let store = context.get_key_value(bucket.name()).await;
            store.map_err(|error| failed(bucket, &error))
        };
        Ok(Self {
            client,
            devices: open(Bucket::Devices).await?,
            revocations: open(Bucket::Revocations).await?,
            clock,
        })
    }

    /// A first refresh token for a device that logs in. One that is known for this user keeps its
    /// id; any other gets a new one, so that the id of a revoked device never comes back.
    pub async fn lease(&self, user: UserId, hello: &HelloDevice) -> Result<RefreshToken, DeviceError> {
        let now_ms = self.clock.now_ms();
        let mut wanted = hello.id;
        for _ in 0..TRIES {
            let entry = match wanted {
                Some(device) => self.read(user, device).await?,
                None => Entry {
                    record: None,
                    revision: 0,
                },
            };
            let device = match (&entry.record, wanted) {
                (Some(_), Some(device)) => device,
                _ => DeviceId::generate(now_ms),
            };
            let token = RefreshToken::generate(user, device);
            if let Some(mut record) = entry.record {
                record.name.clone_from(&hello.name);
                record.platform.clone_from(&hello.platform);
                record.rotate(token.hash(), now_ms);
                if self.write(user, device, &record, entry.revision).await? {
                    return Ok(token);
                }
            } else {
                wanted = None;
                self.make_room(user).await?;
                let mut record = Record::new(hello, now_ms);
                record.rotate(token.hash(), now_ms);
                if self.write(user, device, &record, 0).await? {
                    return Ok(token);
                }
            }
        }
        Err(contended())
    }

    /// Exchanges a refresh token for the next one. Of two exchanges of one token exactly one wins,
    /// and the other is a reuse, which revokes the device.
    pub async fn rotate(&self, token: &RefreshToken) -> Result<RefreshToken, DeviceError> {
        let now_ms = self.clock.now_ms();
        let (user, device, hash) = (token.user, token.device, token.hash());
        let next = RefreshToken::generate(user, device);
        for _ in 0..TRIES {
            let Entry { record, revision } = self.read(user, device).await?;
            let mut record = record.ok_or(DeviceError::Unknown)?;
            if record.used_hashes.contains(&hash) {
                // Ours if a try of this very call was stored although its answer was lost.
                if record.refresh_hash.as_ref() == Some(&next.hash()) {
                    return Ok(next);
                }
                self.revoke(user, device).await?;
                return Err(DeviceError::Reused);
            }
            // A secret that never was valid proves nothing: whoever guesses ids must not be able
            // to log people out.
            if record.refresh_hash.as_ref() != Some(&hash) {
                return Err(DeviceError::Unknown);
            }
            record.rotate(next.hash(), now_ms);
            if self.write(user, device, &record, revision).await? {
                return Ok(next);
            }
        }
        Err(contended())
    }

    /// Ends a device. Again is the same as once.
    ///
    /// The revocation is written first: if something fails after it, the device is still there, and
    /// whoever revokes it again finishes the work. The entry then goes only if nobody got a token for
    /// it meanwhile, so that the revocation hits every token that there is. Of an id that was never
    /// a device there is no token: nothing is written, or anybody could fill both buckets.
    pub async fn revoke(&self, user: UserId, device: DeviceId) -> Result<(), DeviceError> {
        let key = subjects::kv::device(user, device);
        for _ in 0..TRIES {
            let Entry { record, revision } = self.read(user, device).await?;
            if revision == 0 {
                return Ok(());
            }
            let at = self.clock.now_ms();
            let revocation = encode(&Revocation { at }, Bucket::Revocations)?;
            let put = self.revocations.put(&key, revocation.into()).await;
            put.map_err(|error| failed(Bucket::Revocations, &error))?;
            if record.is_none() {
                return Ok(());
            }
            let purged = self
                .devices
                .purge_expect_revision_with_ttl(&key, revision, MARKER_TTL);
            match purged.await {
                Ok(()) => return Ok(()),
                Err(error) if is_contended(error.kind()) => {}
                Err(error) => return Err(failed(Bucket::Devices, &error)),
            }
        }
        Err(contended())
    }

    /// Ends all devices of a user but one. If some cannot be ended, all others are, and it fails: again
    /// finishes the work.
    pub async fn revoke_others(&self, user: UserId, except: DeviceId) -> Result<(), DeviceError> {
        let mut revoking = Vec::new();
        for device in self.list(user).await? {
            if device.id != except {
                revoking.push(self.revoke(user, device.id));
            }
        }
        let revoked: Vec<_> = stream::iter(revoking)
            .buffer_unordered(REVOKED_AT_ONCE)
            .collect()
            .await;
        revoked.into_iter().collect()
    }

    /// Notes a device of an outside user, which has no refresh token of ours.
    pub async fn register(
        &self,
        user: UserId,
        device: DeviceId,
        hello: &HelloDevice,
    ) -> Result<(), DeviceError> {
        let now_ms = self.clock.now_ms();
        for _ in 0..TRIES {
            let Entry { record, revision } = self.read(user, device).await?;
            let record = match record {
                Some(record) if record.name == hello.name && record.platform == hello.platform => {
                    return Ok(());
                }
                Some(mut record) => {
                    record.name.clone_from(&hello.name);
                    record.platform.clone_from(&hello.platform);
                    record.refreshed_at = now_ms;
                    record
                }
                None => {
                    self.make_room(user).await?;
                    Record::new(hello, now_ms)
                }
            };
            if self.write(user, device, &record, revision).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// All devices of a user, the one that was here last first.
    pub async fn list(&self, user: UserId) -> Result<Vec<Device>, DeviceError> {
        let filter = format!("{}{}", self.devices.prefix, subjects::kv::devices_of(user));
        let bounds = direct::Bounds {
            messages: 1_024,
            bytes: LIST_BYTES_MAX,
            timeout: LIST_TIMEOUT,
        };
        let batch = direct::last_by_subject(&self.client, &self.devices.stream_name, &[filter], bounds).await;
        let batch = batch.map_err(|error| failed(Bucket::Devices, &error))?;
        let device = |message: &direct::Direct| {
            let key = message.subject.strip_prefix(&self.devices.prefix)?;
            let (_, id) = subjects::kv::parse_device(key)?;
            // Markers of what was deleted have no payload.
            let record: Record = serde_json::from_slice(&message.payload).ok()?;
            Some(Device {
                id,
                name: record.name,
                platform: record.platform,
                created_at: record.created_at,
                refreshed_at: record.refreshed_at,
                // A login or a refresh is a sign of life too, for example of one that only polls.
                last_seen: record.refreshed_at.max(record.last_seen.unwrap_or_default()),
                // Known to others: who is connected, and who asks.
                online: false,
                current: false,
                push: None,
            })
        };
        let mut devices: Vec<Device> = batch.messages.iter().filter_map(device).collect();
        devices.sort_by_key(|device| std::cmp::Reverse((device.last_seen, device.id)));
        Ok(devices)
    }

    async fn make_room(&self, user: UserId) -> Result<(), DeviceError> {
        let devices = self.list(user).await?;
        for device in devices.iter().skip(DEVICES_MAX - 1) {
            self.revoke(user, device.id).await?;
        }
        Ok(())
    }

    async fn read(&self, user: UserId, device: DeviceId) -> Result<Entry, DeviceError> {
        let subject = format!("{}{}", self.devices.prefix, subjects::kv::device(user, device));
        match self
            .devices
            .stream
            .get_last_raw_message_by_subject(&subject)
            .await
        {
            Ok(message) if message.payload.is_empty() => Ok(Entry {
                record: None,
                revision: message.sequence,
            }),
            Ok(message) => {
                let record = serde_json::from_slice(&message.payload);
                Ok(Entry {
                    record: Some(record.map_err(|error| failed(Bucket::Devices, &error))?),
                    revision: message.sequence,
                })
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Entry {
                record: None,
                revision: 0,
            }),
            Err(error) => Err(failed(Bucket::Devices, &error)),
        }
    }

    /// Whether it was written: not if somebody else wrote since `revision`, or if the answer got
    /// lost, when reading again tells.
    async fn write(
        &self,
        user: UserId,
        device: DeviceId,
        record: &Record,
        revision: u64,
    ) -> Result<bool, DeviceError> {
        let (key, value) = (
            subjects::kv::device(user, device),
            encode(record, Bucket::Devices)?,
        );
        match self.devices.update(&key, value.into(), revision).await {
            Ok(_) => Ok(true),
            Err(error) if is_contended(error.kind()) => Ok(false),
            Err(error) => Err(failed(Bucket::Devices, &error)),
        }
    }
}

fn encode(value: &impl Serialize, bucket: Bucket) -> Result<Vec<u8>, DeviceError> {
    serde_json::to_vec(value).map_err(|error| failed(bucket, &error))
}

fn failed(bucket: Bucket, error: &dyn std::fmt::Display) -> DeviceError {
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

fn contended() -> DeviceError {
    DeviceError::Bucket {
        bucket: Bucket::Devices.name(),
        why: "others kept changing the same device; try again".into(),
    }
}
