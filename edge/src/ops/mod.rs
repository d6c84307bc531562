//! What a client can do, once for socket and HTTP alike: `impl App` blocks, one file a subject.

pub mod conversations;
pub mod devices;
pub mod history;
pub mod people;
pub mod presence;
pub mod push;
pub mod send;
pub mod signals;
pub mod sync;

use natterjack_nats::{
    DeviceId, UserId,
    services::{Verb, call},
    wire::WireError,
};

use crate::app::{App, SERVICE_TIMEOUT};

/// Who asks: a verified user on one of their devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}

impl App {
    /// Asks a service, within the time that everything here is given.
    pub(crate) async fn ask<V: Verb>(&self, request: &V) -> Result<V::Reply, WireError> {
        call(&self.nats.service, request, SERVICE_TIMEOUT).await
    }
}
