//! The devices of users: which are registered for pushes, which are connected, which are in the foreground.

use std::collections::{HashMap, HashSet};

use async_nats::Client;
use natterjack_nats::{
    DeviceId, UserId,
    direct::{DirectError, lasts},
    subjects::kv as keys,
    topology::Bucket,
    wire::{Channel, DeviceSession, PushRegistration},
};
use serde::Deserialize;

/// What is known of one user's devices.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    /// Those that are registered, and by what they are reached.
    pub registered: Vec<(DeviceId, Channel)>,
    /// Those that are connected, by what their edges wrote. An edge that died may not have said so yet, which
    /// only puts a push off.
    pub connected: bool,
    /// Those of them that are in the foreground.
    pub active: HashSet<DeviceId>,
}

/// Reads the devices and sessions of these users.
///
/// # Errors
/// NATS did not answer.
pub async fn devices(client: &Client, users: &[UserId]) -> Result<HashMap<UserId, Devices>, DirectError> {
    let subjects = |bucket, of: fn(UserId) -> String| -> Vec<String> {
        users
            .iter()
            .map(|user| keys::subject(bucket, &of(*user)))
            .collect()
    };
    let devices = subjects(Bucket::Devices, keys::devices_of);
    let sessions = subjects(Bucket::Sessions, keys::sessions_of_user);
    let (device_stream, session_stream) = (Bucket::Devices.stream_name(), Bucket::Sessions.stream_name());
    let (devices, sessions) = tokio::try_join!(
        lasts(client, &device_stream, &devices),
        lasts(client, &session_stream, &sessions),
    )?;
    let mut known: HashMap<UserId, Devices> = HashMap::new();
    for message in devices {
        let key = keys::key(Bucket::Devices, &message.subject).and_then(keys::parse_device);
        if let (Some((user, device)), Some(channel)) = (key, registered(&message.payload)) {
            known.entry(user).or_default().registered.push((device, channel));
        }
    }
    for message in sessions {
        let key = keys::key(Bucket::Sessions, &message.subject).and_then(keys::parse_session);
        let session = serde_json::from_slice::<DeviceSession>(&message.payload);
        // An end has no value.
        if let (Some((_, user, device)), Ok(session)) = (key, session) {
            let devices = known.entry(user).or_default();
            devices.connected = true;
            if session.active {
                devices.active.insert(device);
            }
        }
    }
    Ok(known)
}

/// By what a device is reached, if it is registered: of an entry of the bucket `devices`, whose other fields
/// are the persister's.
fn registered(payload: &[u8]) -> Option<Channel> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(default)]
        push: Option<PushRegistration>,
    }
    if payload.is_empty() {
        return None;
    }
    match serde_json::from_slice::<Record>(payload) {
        Ok(record) => Some(record.push?.request.target.channel()),
        Err(error) => {
            tracing::error!(%error, "an entry in the bucket devices does not decode; taking it for none");
            None
        }
    }
}
