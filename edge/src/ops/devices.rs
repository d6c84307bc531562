//! One's own devices: which there are, and their end.

use std::{cmp::Reverse, time::Duration};

use natterjack_nats::{
    DeviceId, UserId,
    services::{
        accounts::{Devices, RevokeDevice, RevokeOthers},
        call,
        presence::{OpenSession, Sessions},
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
        let devices = Devices { user };
        let (devices, open) = tokio::join!(self.ask(&devices), self.open_sessions(user));
        let mut devices = devices?;
        for device in &mut devices {
            self.show(caller, device, &open);
        }
        // Stable: of those that are here now, the one whose last login or refresh is youngest.
        devices.sort_by_key(|device| Reverse(device.last_seen));
        Ok(devices)
    }

    /// The user's sessions; none while presence is away.
    pub(super) async fn open_sessions(&self, user: UserId) -> Vec<OpenSession> {
        let open = call(&self.nats.service, &Sessions { user }, SESSIONS_TIMEOUT).await;
        open.unwrap_or_else(|error| {
            tracing::debug!(%error, "who is connected is not known; devices are answered without it");
            Vec::new()
        })
    }

    /// Fills in what the accounts do not know of a device: who asks, and whether it is connected.
    pub(super) fn show(&self, caller: &Caller, device: &mut Device, open: &[OpenSession]) {
        device.current = device.id == caller.device;
        device.online = open.iter().any(|session| session.device == device.id);
        if device.online {
            device.last_seen = self.clock.now_ms();
        }
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
