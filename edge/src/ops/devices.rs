//! One's own devices: which there are, and their end.

use std::{cmp::Reverse, time::Duration};

use natterjack_nats::{
    DeviceId,
    services::{
        accounts::{Devices, RevokeDevice, RevokeOthers},
        call,
        presence::Sessions,
    },
    wire::{Device, WireError},
};

use super::Caller;
use crate::app::App;

/// How long the list waits to learn who is connected; without it, it is answered all the same.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(2);

impl App {
    /// The caller's devices, the one that was here last first. While presence is away, none is shown as
    /// connected.
    ///
    /// # Errors
    /// The service is away.
    pub async fn devices(&self, caller: &Caller) -> Result<Vec<Device>, WireError> {
        let user = caller.user;
        let (devices, sessions) = (Devices { user }, Sessions { user });
        let (devices, open) = tokio::join!(
            self.ask(&devices),
            call(&self.nats.service, &sessions, SESSIONS_TIMEOUT),
        );
        let open = open.unwrap_or_else(|error| {
            tracing::debug!(%error, "who is connected is not known; a list of devices is answered without it");
            Vec::new()
        });
        let (mut devices, now_ms) = (devices?, self.clock.now_ms());
        for device in &mut devices {
            device.current = device.id == caller.device;
            device.online = open.iter().any(|session| session.device == device.id);
            if device.online {
                device.last_seen = now_ms;
            }
        }
        // Stable: of those that are here now, the one whose last login or refresh is youngest.
        devices.sort_by_key(|device| Reverse(device.last_seen));
        Ok(devices)
    }

    /// Ends one of the caller's devices, perhaps the one that asks.
    ///
    /// # Errors
    /// The service is away.
    pub async fn revoke_device(&self, caller: &Caller, device: DeviceId) -> Result<(), WireError> {
        let user = caller.user;
        self.ask(&RevokeDevice { user, device }).await?;
        Ok(())
    }

    /// Ends all of the caller's devices but the one that asks.
    ///
    /// # Errors
    /// The service is away. Some may be ended then; asking again finishes it.
    pub async fn revoke_other_devices(&self, caller: &Caller) -> Result<(), WireError> {
        let (user, except) = (caller.user, caller.device);
        self.ask(&RevokeOthers { user, except }).await?;
        Ok(())
    }
}
