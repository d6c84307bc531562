//! The bucket `devices`, of which presence writes one field.

use natterjack_nats::{DeviceId, UserId, subjects::kv as keys, topology::Bucket};

use super::{Store, StoreError, encode, update};

/// How often a compare-and-set on a device is tried against those who rotate its token.
const DEVICE_TRIES: usize = 8;

impl Store {
    /// Notes when a device was connected last, all else in its entry kept as it is; nothing if there is
    /// no such device, or a later time.
    ///
    /// # Errors
    /// NATS did not answer.
    pub async fn note_last_seen(&self, user: UserId, device: DeviceId, at_ms: u64) -> Result<(), StoreError> {
        const LAST_SEEN: &str = "last_seen";
        let key = keys::device(user, device);
        for _ in 0..DEVICE_TRIES {
            let Some(found) = self.last(&self.devices, Bucket::Devices, &key).await? else {
                return Ok(());
            };
            let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&found.payload);
            // A marker, or nothing of ours.
            let Ok(mut fields) = fields else { return Ok(()) };
            let noted = fields.get(LAST_SEEN).and_then(serde_json::Value::as_u64);
            if noted.is_some_and(|noted| noted >= at_ms) {
                return Ok(());
            }
            fields.insert(LAST_SEEN.into(), at_ms.into());
            let value = encode(&fields, Bucket::Devices)?;
            if update(&self.devices, Bucket::Devices, &key, value, found.sequence).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }
}
