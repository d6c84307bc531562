//! What a client can do, once for socket and HTTP alike: `impl App` blocks, one file a subject.

pub mod send;
pub mod signals;

use natterjack_nats::{DeviceId, UserId};

/// Who asks: a verified user on one of their devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}
