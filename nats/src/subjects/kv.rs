//! Keys in the KV buckets (`$KV.<bucket>.<key>`), for example `devices` → `<user>.<device>`. The keys of
//! `edges` and `presence` are the ids of edges and users.

use crate::{
    conversation::Conversation,
    ids::{DeviceId, EdgeId, UserId},
    topology::Bucket,
    wire::Channel,
};

/// The subject on which the value of a key is stored.
#[must_use]
pub fn subject(bucket: Bucket, key: &str) -> String {
    format!("$KV.{}.{key}", bucket.name())
}

/// The subjects of all keys of a bucket of this name.
#[must_use]
pub fn all(bucket: &str) -> String {
    format!("$KV.{bucket}.>")
}

/// The key of a subject of this bucket.
#[must_use]
pub fn key(bucket: Bucket, subject: &str) -> Option<&str> {
    subject
        .strip_prefix("$KV.")?
        .strip_prefix(bucket.name())?
        .strip_prefix('.')
}

/// The key of a device in `sessions`.
#[must_use]
pub fn session(edge: EdgeId, user: UserId, device: DeviceId) -> String {
    format!("{edge}.{user}.{device}")
}

/// All sessions of an edge.
#[must_use]
pub fn sessions_of_edge(edge: EdgeId) -> String {
    format!("{edge}.>")
}

/// All sessions of a user.
#[must_use]
pub fn sessions_of_user(user: UserId) -> String {
    format!("*.{user}.*")
}

/// The edge, user and device of a key in `sessions`.
#[must_use]
pub fn parse_session(key: &str) -> Option<(EdgeId, UserId, DeviceId)> {
    let (edge, rest) = key.split_once('.')?;
    let (user, device) = parse_device(rest)?;
    Some((edge.parse().ok()?, user, device))
}

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

/// The key of what a device is told of a conversation, in `pushes`.
#[must_use]
pub fn push(channel: Channel, user: UserId, device: DeviceId, conversation: &Conversation) -> String {
    format!("{channel}.{user}.{device}.{conversation}")
}

/// All that goes through one kind of push service.
#[must_use]
pub fn pushes_of_channel(channel: Channel) -> String {
    format!("{channel}.>")
}

/// What the devices of a user are told of a conversation.
#[must_use]
pub fn pushes_of(user: UserId, conversation: &Conversation) -> String {
    format!("*.{user}.*.{conversation}")
}

/// The channel, user, device and conversation of a key in `pushes`.
#[must_use]
pub fn parse_push(key: &str) -> Option<(Channel, UserId, DeviceId, Conversation)> {
    let mut parts = key.splitn(4, '.');
    let channel = parts.next()?;
    let channel = Channel::ALL.iter().find(|known| known.as_str() == channel)?;
    let (user, device) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((*channel, user, device, parts.next()?.parse().ok()?))
}

/// Keys of the bucket `push_keys`.
pub mod push_keys {
    /// The private key of Web Push.
    pub const VAPID: &str = "vapid";
}

/// Keys of the bucket `cluster`.
pub mod cluster {
    /// The number of shards, in decimal; fixed at provisioning.
    pub const SHARDS: &str = "shards";
    /// The public keys of access tokens, a JWK set (RFC 7517).
    pub const JWKS: &str = "jwks";
    /// The public key of Web Push (RFC 8292): an uncompressed point, base64url.
    pub const VAPID: &str = "vapid";
    /// The Firebase project of the notifier's credentials; absent without any.
    pub const FCM: &str = "fcm";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GroupId;

    #[test]
    fn round_trip() {
        let (user, id) = (UserId::from_parts(5, 6), DeviceId::from_parts(7, 8));
        assert_eq!(parse_device(&device(user, id)), Some((user, id)));
        assert_eq!(parse_device("x.y"), None);
        let edge = EdgeId::from_parts(9, 9);
        let key_of_session = session(edge, user, id);
        assert_eq!(parse_session(&key_of_session), Some((edge, user, id)));
        assert_eq!(parse_session(&device(user, id)), None);
        let stored = subject(Bucket::Sessions, &key_of_session);
        assert_eq!(key(Bucket::Sessions, &stored), Some(key_of_session.as_str()));
        assert_eq!(key(Bucket::Edges, &stored), None);
        for conversation in [
            Conversation::dm(user, user),
            Conversation::Group(GroupId::from_parts(1, 2)),
        ] {
            for channel in Channel::ALL {
                let key_of_push = push(*channel, user, id, &conversation);
                assert_eq!(parse_push(&key_of_push), Some((*channel, user, id, conversation)));
            }
        }
        assert_eq!(parse_push(&key_of_session), None);
    }
}
