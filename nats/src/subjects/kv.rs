//! Keys in the KV buckets (`$KV.<bucket>.<key>`), for example `devices` → `<user>.<device>`.

use crate::ids::{DeviceId, UserId};

/// The key of a device in `devices` and `revocations`.
#[must_use]
pub fn device(user: UserId, device: DeviceId) -> String {
    format!("{user}.{device}")
}

/// All devices of a user.
#[must_use]
pub fn devices_of(user: UserId) -> String {
    format!("{user}.*")
}

/// The user and device of a key in `devices` or `revocations`.
#[must_use]
pub fn parse_device(key: &str) -> Option<(UserId, DeviceId)> {
    let (user, device) = key.split_once('.')?;
    Some((user.parse().ok()?, device.parse().ok()?))
}

/// Keys of the bucket `cluster`.
pub mod cluster {
    /// The number of shards, in decimal; fixed at provisioning.
    pub const SHARDS: &str = "shards";
    /// The public keys of access tokens, a JWK set (RFC 7517).
    pub const JWKS: &str = "jwks";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let (user, id) = (UserId::from_parts(5, 6), DeviceId::from_parts(7, 8));
        assert_eq!(parse_device(&device(user, id)), Some((user, id)));
        assert_eq!(parse_device("x.y"), None);
    }
}
