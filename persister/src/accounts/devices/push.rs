//! Where devices are pushed. A device has at most one registration, in its entry; and a browser or a
//! phone has one user at a time: who has registered an endpoint or a token stands in the bucket
//! `push_targets`, so that the one before loses it.

use natterjack_nats::{
    DeviceId, UserId, subjects,
    topology::Bucket,
    wire::{PushRegistration, PushRequest, PushTarget},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    DeviceError, Devices, MARKER_TTL, TRIES, contended,
    store::{self, Entry, failed},
};

/// A device of a user.
type Owner = (UserId, DeviceId);

impl Devices {
    /// Registers a device in place of what it had registered, and takes the target from whoever had it.
    ///
    /// The claim is taken last and by compare-and-set: if something fails before, doing it again finds
    /// the one before still named and takes the target from them; and of two who register one target at
    /// the same time, the second sees the first.
    ///
    /// # Errors
    /// [`DeviceError::NoSuchDevice`]; the buckets are away.
    pub async fn set_push(
        &self,
        user: UserId,
        device: DeviceId,
        request: PushRequest,
    ) -> Result<(), DeviceError> {
        let registration = PushRegistration {
            id: Uuid::new_v4(),
            request,
            registered_at: self.clock.now_ms(),
        };
        let target = &registration.request.target;
        let mut replaced = None;
        for _ in 0..TRIES {
            // Before anything is taken from others.
            if self.read(user, device).await?.value.is_none() {
                return Err(DeviceError::NoSuchDevice);
            }
            let claim = self.claim(target).await?;
            if let Some(before) = claim.value.filter(|before| *before != (user, device)) {
                self.take_from(before, target).await?;
            }
            let before = self.register_push(user, device, &registration).await?;
            replaced = before
                .map(|before| before.request.target)
                .filter(|before| before != target)
                .or(replaced);
            let owner = subjects::kv::device(user, device).into_bytes();
            let (bucket, key) = (Bucket::PushTargets, key_of(target));
            // Also if it is ours already: whoever is about to take it must see that we came again.
            if !store::write(&self.targets, bucket, &key, owner, claim.revision).await? {
                continue;
            }
            // Revoked at this very moment: then nobody else lets go of the claim.
            if self.read(user, device).await?.value.is_none() {
                self.release((user, device), target).await?;
                return Err(DeviceError::NoSuchDevice);
            }
            if let Some(replaced) = replaced {
                self.release((user, device), &replaced).await?;
            }
            return Ok(());
        }
        // Others have the target, and this device must not be reached there beside them.
        self.unregister(user, device, |found| found.id == registration.id)
            .await?;
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
            Some(removed) => self.release((user, device), &removed.request.target).await,
            None => Ok(()),
        }
    }

    /// Lets go of a target, unless somebody else has it by now.
    pub(super) async fn release(&self, owner: Owner, target: &PushTarget) -> Result<(), DeviceError> {
        let claim = self.claim(target).await?;
        if claim.value == Some(owner) {
            let (bucket, key) = (Bucket::PushTargets, key_of(target));
            // If somebody else was faster, the target is theirs.
            store::purge(&self.targets, bucket, &key, claim.revision, MARKER_TTL).await?;
        }
        Ok(())
    }

    async fn claim(&self, target: &PushTarget) -> Result<Entry<Owner>, DeviceError> {
        let decode = |payload: &[u8]| {
            let owner = std::str::from_utf8(payload).ok();
            let owner = owner.and_then(subjects::kv::parse_device);
            owner.ok_or_else(|| failed(Bucket::PushTargets, &"an entry names no device"))
        };
        let (bucket, key) = (Bucket::PushTargets, key_of(target));
        store::read(&self.targets, bucket, &key, decode).await
    }

    async fn take_from(&self, (user, device): Owner, target: &PushTarget) -> Result<(), DeviceError> {
        let has = |found: &PushRegistration| found.request.target == *target;
        self.unregister(user, device, has).await.map(drop)
    }

    /// Writes a registration into its device's entry; answers what stood there.
    async fn register_push(
        &self,
        user: UserId,
        device: DeviceId,
        registration: &PushRegistration,
    ) -> Result<Option<PushRegistration>, DeviceError> {
        for _ in 0..TRIES {
            let Entry { value, revision } = self.read(user, device).await?;
            let mut record = value.ok_or(DeviceError::NoSuchDevice)?;
            let before = record.push();
            let set = record.set_push(Some(registration));
            set.map_err(|error| failed(Bucket::Devices, &error))?;
            if self.write(user, device, &record, revision).await? {
                return Ok(before);
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

/// The key of a target in `push_targets`: the SHA-256 of its endpoint or token, in hexadecimal digits.
/// Either is a secret between a device and its server, and both are too long for a key.
fn key_of(target: &PushTarget) -> String {
    let text = match target {
        PushTarget::WebPush { endpoint, .. } => endpoint,
        PushTarget::Fcm { token, .. } => token,
    };
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
