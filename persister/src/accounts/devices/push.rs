//! Where devices are pushed. A device has at most one registration, in its entry; and a browser or a
//! phone has one user at a time: who has registered an endpoint or a token stands in the bucket
//! `push_targets`, so that the one before loses it.

use std::{collections::BTreeSet, time::Duration};

use natterjack_nats::{
    DeviceId, UserId, subjects,
    topology::Bucket,
    wire::{Device, PushRegistration, PushRequest, PushTarget},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    DeviceError, Devices, TRIES, contended,
    store::{self, Entry, failed},
};

/// How long the marker of a target that is nobody's any more stays.
const MARKER_TTL: Duration = Duration::from_hours(24);

/// A device of a user.
type Owner = (UserId, DeviceId);

impl Devices {
    /// Registers a device in place of what it had registered, and takes the target from whoever had it;
    /// answers the device as it was stored.
    ///
    /// Whoever may be registered for a target is named by its claim before: if something fails on the way,
    /// the next one, also the one before who comes again, takes it from this device. The claim is written
    /// once more when the device is registered: of two who register one target at the same time, the one who
    /// claimed first sees the other and steps back.
    ///
    /// # Errors
    /// [`DeviceError::NoSuchDevice`]; somebody else took the target at the same time; the buckets are away.
    /// The device is then registered for nothing.
    pub async fn set_push(
        &self,
        user: UserId,
        device: DeviceId,
        request: PushRequest,
    ) -> Result<Device, DeviceError> {
        let owner = (user, device);
        let registration = PushRegistration {
            id: Uuid::new_v4(),
            request,
            registered_at: self.clock.now_ms(),
        };
        let key = key_of(&registration.request.target);
        let mut left = BTreeSet::new();
        let taken = self.take(owner, &key, &registration, &mut left).await;
        if taken.is_ok() {
            left.remove(&key);
        } else {
            // Others may have the target, and this device must not be reached there beside them.
            let undone = self.unregister(user, device, |found| found.id == registration.id);
            if let Err(error) = undone.await {
                tracing::warn!(%error, "a registration for pushes that failed could not be undone");
            }
            left.insert(key);
        }
        for key in left {
            // A claim of a device that is not registered costs whoever takes it a look, and nothing else.
            if let Err(error) = self.release(owner, &key).await {
                tracing::warn!(%error, "a push target that nobody is registered for stays claimed");
            }
        }
        taken
    }

    /// Claims a target, registers the device, and sees that the claim still stands; notes the keys of all
    /// that the device was registered for before.
    async fn take(
        &self,
        owner: Owner,
        key: &str,
        registration: &PushRegistration,
        left: &mut BTreeSet<String>,
    ) -> Result<Device, DeviceError> {
        let (user, device) = owner;
        for _ in 0..TRIES {
            // Before anything is taken from others.
            if self.read(user, device).await?.value.is_none() {
                return Err(DeviceError::NoSuchDevice);
            }
            let claim = self.claim(key).await?;
            if let Some(before) = claim.value.filter(|before| *before != owner) {
                self.take_from(before, key).await?;
            }
            if !self.write_claim(owner, key, claim.revision).await? {
                continue;
            }
            let (before, shown) = self.register_push(user, device, registration).await?;
            left.extend(before.map(|before| key_of(&before.request.target)));
            if self.confirm(owner, key).await? {
                return Ok(shown);
            }
        }
        Err(contended())
    }

    /// Writes the claim of a device that is registered by now once more, so that whoever is about to take
    /// the target finds the registration. Whether it could: the claim may have been let go meanwhile.
    async fn confirm(&self, owner: Owner, key: &str) -> Result<bool, DeviceError> {
        for _ in 0..TRIES {
            let claim = self.claim(key).await?;
            match claim.value {
                None => return Ok(false),
                Some(other) if other != owner => return Err(contended()),
                Some(_) => {
                    if self.write_claim(owner, key, claim.revision).await? {
                        return Ok(true);
                    }
                }
            }
        }
        Err(contended())
    }

    /// Takes a registration back: this one, or whatever there is. Again is the same as once.
    ///
    /// # Errors
    /// The buckets are away.
    pub async fn remove_push(
        &self,
        user: UserId,
        device: DeviceId,
        id: Option<Uuid>,
    ) -> Result<(), DeviceError> {
        let removed = self.unregister(user, device, |found| id.is_none_or(|id| found.id == id));
        match removed.await? {
            Some(removed) => {
                let key = key_of(&removed.request.target);
                self.release((user, device), &key).await
            }
            None => Ok(()),
        }
    }

    /// Lets go of a target, unless somebody else has it by now, or its device is registered for it again.
    pub(super) async fn release(&self, owner: Owner, key: &str) -> Result<(), DeviceError> {
        let (user, device) = owner;
        for _ in 0..TRIES {
            let claim = self.claim(key).await?;
            if claim.value != Some(owner) {
                return Ok(());
            }
            // After the claim: who registers from here on writes the claim after it.
            let record = self.read(user, device).await?.value;
            if record
                .and_then(|record| record.push())
                .is_some_and(|push| at(key, &push))
            {
                return Ok(());
            }
            let (bucket, revision) = (Bucket::PushTargets, claim.revision);
            if store::purge(&self.targets, bucket, key, revision, MARKER_TTL).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    async fn claim(&self, key: &str) -> Result<Entry<Owner>, DeviceError> {
        let decode = |payload: &[u8]| {
            let owner = std::str::from_utf8(payload).ok();
            let owner = owner.and_then(subjects::kv::parse_device);
            owner.ok_or_else(|| failed(Bucket::PushTargets, &"an entry names no device"))
        };
        store::read(&self.targets, Bucket::PushTargets, key, decode).await
    }

    async fn write_claim(
        &self,
        (user, device): Owner,
        key: &str,
        revision: u64,
    ) -> Result<bool, DeviceError> {
        let owner = subjects::kv::device(user, device).into_bytes();
        store::write(&self.targets, Bucket::PushTargets, key, owner, revision).await
    }

    async fn take_from(&self, (user, device): Owner, key: &str) -> Result<(), DeviceError> {
        let taken = self.unregister(user, device, |found| at(key, found)).await;
        taken.map(drop)
    }

    /// Writes a registration into its device's entry; answers what stood there, and the device as it is now.
    async fn register_push(
        &self,
        user: UserId,
        device: DeviceId,
        registration: &PushRegistration,
    ) -> Result<(Option<PushRegistration>, Device), DeviceError> {
        for _ in 0..TRIES {
            let Entry { value, revision } = self.read(user, device).await?;
            let mut record = value.ok_or(DeviceError::NoSuchDevice)?;
            let before = record.push();
            let set = record.set_push(Some(registration));
            set.map_err(|error| failed(Bucket::Devices, &error))?;
            if self.write(user, device, &record, revision).await? {
                return Ok((before, record.shown(device)));
            }
        }
        Err(contended())
    }

    /// Removes a registration from its device's entry if it is one that is meant; answers it.
    async fn unregister(
        &self,
        user: UserId,
        device: DeviceId,
        meant: impl Fn(&PushRegistration) -> bool,
    ) -> Result<Option<PushRegistration>, DeviceError> {
        for _ in 0..TRIES {
            let Entry { value, revision } = self.read(user, device).await?;
            let Some(mut record) = value else {
                return Ok(None);
            };
            let Some(found) = record.push().filter(&meant) else {
                return Ok(None);
            };
            let set = record.set_push(None);
            set.map_err(|error| failed(Bucket::Devices, &error))?;
            if self.write(user, device, &record, revision).await? {
                return Ok(Some(found));
            }
        }
        Err(contended())
    }
}

/// Whether a registration is for the target of this key. Not whether the targets are equal: one endpoint
/// with other keys, or one token of another system, is the same browser or phone.
fn at(key: &str, registration: &PushRegistration) -> bool {
    key_of(&registration.request.target) == key
}

/// The key of a target in `push_targets`: the SHA-256 of its endpoint or token, in hexadecimal digits.
/// Either is a secret between a device and its server, and both are too long for a key.
pub(super) fn key_of(target: &PushTarget) -> String {
    let text = match target {
        PushTarget::WebPush { endpoint, .. } => endpoint,
        PushTarget::Fcm { token, .. } => token,
    };
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
