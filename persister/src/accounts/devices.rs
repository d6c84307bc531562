//! Devices in the bucket `devices`: one entry each, changed by compare-and-set only.
//!
//! Entries are read from the bucket's leader: a replica that is a moment behind would show a
//! refresh token as unknown that was just given out.

mod push;
mod record;
mod store;

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{self, kv},
};
use futures::{StreamExt, stream};
use natterjack_nats::{
    DeviceId, UserId, subjects,
    topology::Bucket,
    wire::{HelloDevice, Revocation},
};
use natterjack_runtime::clock::Clock;

use self::{
    record::{Record, Standing},
    store::{Entry, encode, failed},
};
use super::refresh::RefreshToken;

/// Most devices of a user: one more, and the one that was away longest is revoked.
pub const DEVICES_MAX: usize = 50;
/// How often a compare-and-set is tried against others that write the same entry.
const TRIES: usize = 8;
/// So many devices are revoked at the same time.
const REVOKED_AT_ONCE: usize = 16;
/// How long the marker of a revoked device stays: until then, who shows its refresh token is told why it is no good.
/// JetStream answers for 1,024 entries of a user at once, markers included: so many logins may end in that time.
const MARKER_TTL: Duration = Duration::from_hours(24);

/// Why a device's entry could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The token was valid once and is not any more: somebody else has used it, so the device is
    /// revoked.
    #[error("this refresh token was used before, so its device was logged out; log in again")]
    Reused,
    /// The device was logged out, no longer ago than its marker stays.
    #[error("this device was logged out; log in again")]
    Revoked,
    /// The device is gone, or the secret was never valid.
    #[error("this refresh token is not valid; log in again")]
    Unknown,
    /// It was never there, or was revoked.
    #[error("this device is not known any more; log in again")]
    NoSuchDevice,
    /// JetStream did not do it.
    #[error("the bucket {bucket}: {why}")]
    Bucket {
        /// Which.
        bucket: &'static str,
        /// In its own words.
        why: String,
    },
}

/// The devices of all users; cheap to clone.
#[derive(Clone)]
pub struct Devices {
    client: Client,
    devices: kv::Store,
    revocations: kv::Store,
    targets: kv::Store,
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
            targets: open(Bucket::PushTargets).await?,
            clock,
        })
    }

    /// A first refresh token for a device that logs in. One that is known for this user keeps its
    /// id; any other gets a new one, so that the id of a revoked device never comes back.
    pub async fn lease(&self, user: UserId, hello: &HelloDevice) -> Result<RefreshToken, DeviceError> {
        self.lease_as(user, hello, false).await
    }

    /// The same for the first device of a new user, none of whose devices was ever revoked: the id that the client
    /// made is the device's.
    pub async fn lease_first(&self, user: UserId, hello: &HelloDevice) -> Result<RefreshToken, DeviceError> {
        self.lease_as(user, hello, true).await
    }

    async fn lease_as(
        &self,
        user: UserId,
        hello: &HelloDevice,
        is_first: bool,
    ) -> Result<RefreshToken, DeviceError> {
        let now_ms = self.clock.now_ms();
        let mut wanted = hello.id;
        for _ in 0..TRIES {
            let entry = match wanted {
                Some(device) => self.read(user, device).await?,
                None => Entry::NONE,
            };
            let device = match (&entry.value, wanted) {
                (Some(_), Some(device)) => device,
                (None, Some(device)) if is_first => device,
                _ => DeviceId::generate(now_ms),
            };
            let token = RefreshToken::generate(user, device);
            if let Some(mut record) = entry.value {
                record.name.clone_from(&hello.name);
                record.platform.clone_from(&hello.platform);
                record.begin(token.hash(), now_ms);
                if self.write(user, device, &record, entry.revision).await? {
                    return Ok(token);
                }
            } else {
                wanted = wanted.filter(|_| is_first);
                self.make_room(user).await?;
                let mut record = Record::new(hello, now_ms);
                record.begin(token.hash(), now_ms);
                if self.write(user, device, &record, 0).await? {
                    return Ok(token);
                }
            }
        }
        Err(contended())
    }

    /// Exchanges a refresh token for the next one.
    ///
    /// The token that the current one was given for is taken again, a few times, until the current one is used:
    /// its answer was lost, or the device ended before it could keep it. Any other that is not the current one
    /// any more is a reuse, which revokes the device.
    pub async fn rotate(&self, token: &RefreshToken) -> Result<RefreshToken, DeviceError> {
        let now_ms = self.clock.now_ms();
        let (user, device, hash) = (token.user, token.device, token.hash());
        let next = RefreshToken::generate(user, device);
        for _ in 0..TRIES {
            let Entry {
                value: record,
                revision,
            } = self.read(user, device).await?;
            let Some(mut record) = record else {
                // Whoever guesses ids learns of no device that it is there.
                let was_there = revision > 0;
                return Err(if was_there {
                    DeviceError::Revoked
                } else {
                    DeviceError::Unknown
                });
            };
            // A try of this very call was stored although its answer was lost.
            if record.standing(&next.hash()) == Standing::Current {
                return Ok(next);
            }
            match record.standing(&hash) {
                Standing::Current => record.rotate(next.hash(), now_ms),
                Standing::Predecessor => record.rotate_again(next.hash(), now_ms),
                Standing::Used => {
                    self.revoke(user, device).await?;
                    return Err(DeviceError::Reused);
                }
                // A secret that never was valid proves nothing: whoever guesses ids must not be able
                // to log people out.
                Standing::Unknown => return Err(DeviceError::Unknown),
            }
            if self.write(user, device, &record, revision).await? {
                return Ok(next);
            }
        }
        Err(contended())
    }

    /// Ends a device. Again is the same as once.
    ///
    /// Where it was pushed goes with it. The revocation is written first: if something fails after it, the
    /// device is still there, and whoever revokes it again finishes the work. The entry then goes only if nobody got a token for
    /// it meanwhile, so that the revocation hits every token that there is. Of an id that was never
    /// a device there is no token: nothing is written, or anybody could fill both buckets.
    pub async fn revoke(&self, user: UserId, device: DeviceId) -> Result<(), DeviceError> {
        let key = subjects::kv::device(user, device);
        for _ in 0..TRIES {
            let Entry {
                value: record,
                revision,
            } = self.read(user, device).await?;
            if revision == 0 {
                return Ok(());
            }
            let at = self.clock.now_ms();
            let revocation = encode(&Revocation { at }, Bucket::Revocations)?;
            let put = self.revocations.put(&key, revocation.into()).await;
            put.map_err(|error| failed(Bucket::Revocations, &error))?;
            let Some(record) = record else {
                return Ok(());
            };
            if store::purge(&self.devices, Bucket::Devices, &key, revision, MARKER_TTL).await? {
                return match record.push() {
                    Some(push) => {
                        let key = push::key_of(&push.request.target);
                        self.release((user, device), &key).await
                    }
                    None => Ok(()),
                };
            }
        }
        Err(contended())
    }

    /// Ends all devices of a user but one. If some cannot be ended, all others are, and it fails: again
    /// finishes the work.
    pub async fn revoke_others(&self, user: UserId, except: DeviceId) -> Result<(), DeviceError> {
        let others = self.ids(user).await?.into_iter().filter(|id| *id != except);
        let revoking: Vec<_> = others.map(|device| self.revoke(user, device)).collect();
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
            let Entry {
                value: record,
                revision,
            } = self.read(user, device).await?;
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

    async fn make_room(&self, user: UserId) -> Result<(), DeviceError> {
        let devices = self.list(user).await?;
        for device in devices.iter().skip(DEVICES_MAX - 1) {
            self.revoke(user, device.id).await?;
        }
        Ok(())
    }
}

fn contended() -> DeviceError {
    DeviceError::Bucket {
        bucket: Bucket::Devices.name(),
        why: "others kept changing the same device; try again".into(),
    }
}
