//! KV buckets.
//!
//! | bucket | key | value | who writes |
//! |---|---|---|---|
//! | `cluster` | `shards`, `jwks`, `vapid`, `fcm` | what every part must agree on | provisioning; the persister (`jwks`); the notifier (`fcm`) |
//! | `devices` | `<user>.<device>` | name, platform, hash of the refresh token, push registration | the persister |
//! | `edges` | `<edge>` | the lease of an edge ([`Lease`](crate::wire::Lease)), with a TTL | that edge |
//! | `sessions` | `<edge>.<user>.<device>` | a connected device ([`DeviceSession`](crate::wire::DeviceSession)) | that edge; swept by presence |
//! | `presence` | `<user>` | [`PresenceRecord`](crate::wire::PresenceRecord); republished on `live.presence.<bucket>.<user>` | presence |
//! | `pushes` | `<channel>.<user>.<device>.<conversation>` | what a device is to be told of a conversation, or was ([`PushJob`](crate::wire::PushJob)); kept for three days | the notifier |
//! | `push_targets` | hash of an endpoint or token | the device that has registered it, `<user>.<device>` | the persister |
//! | `push_keys` | `vapid` | the private key of Web Push ([`VapidKey`](crate::wire::VapidKey)): for the notifier alone | provisioning |
//! | `revocations` | `<user>.<device>` | when the device was revoked; kept for a day, longer than an access token lives | the persister |

use std::time::Duration;

use async_nats::jetstream::{
    kv,
    stream::{self, DiscardPolicy, Republish, StorageType},
};

use super::Settings;
use crate::subjects::{self, presence};

/// How long it is kept that something was deleted or has expired: whoever follows a bucket and was
/// away for less than that misses nothing.
pub const MARKERS_KEPT: Duration = Duration::from_hours(24);

/// How long it is remembered what a device was pushed of a conversation: longer than any push is tried.
pub const PUSHES_KEPT: Duration = Duration::from_hours(72);

/// The buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// What every part of the cluster must agree on.
    Cluster,
    /// What outlives a connection.
    Devices,
    /// Devices whose access tokens must no longer be taken.
    Revocations,
    /// Edges that live.
    Edges,
    /// Devices that are connected.
    Sessions,
    /// Users who are there, and when they were last.
    Presence,
    /// What devices are to be pushed.
    Pushes,
    /// Which device has registered an endpoint or token.
    PushTargets,
    /// The private keys of push services.
    PushKeys,
}

impl Bucket {
    /// All buckets.
    pub const ALL: [Self; 9] = [
        Self::Cluster,
        Self::Devices,
        Self::Revocations,
        Self::Edges,
        Self::Sessions,
        Self::Presence,
        Self::Pushes,
        Self::PushTargets,
        Self::PushKeys,
    ];

    /// The bucket's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Devices => "devices",
            Self::Revocations => "revocations",
            Self::Edges => "edges",
            Self::Sessions => "sessions",
            Self::Presence => "presence",
            Self::Pushes => "pushes",
            Self::PushTargets => "push_targets",
            Self::PushKeys => "push_keys",
        }
    }

    /// The name of the stream that holds the bucket.
    #[must_use]
    pub fn stream_name(self) -> String {
        format!("KV_{}", self.name())
    }
}

/// Whether a message may replace all others of a key, or of the whole bucket, by a header.
///
/// NATS does not look at that header where it looks at permissions: who may write one key of such a bucket may
/// wipe it. So those buckets do without in which several roles have keys of their own, and nothing is purged.
fn allows_rollup(bucket: &str) -> bool {
    ![Bucket::Cluster, Bucket::PushKeys]
        .map(Bucket::name)
        .contains(&bucket)
}

/// The stream that holds a bucket, as clients of NATS expect it: with one request it is all that it should be,
/// which it is not between the two that it takes to make a bucket and then to forbid headers that replace.
#[must_use]
pub fn bucket_stream(bucket: kv::Config) -> stream::Config {
    stream::Config {
        name: format!("KV_{}", bucket.bucket),
        description: Some(bucket.description),
        subjects: vec![subjects::kv::all(&bucket.bucket)],
        max_messages_per_subject: bucket.history,
        max_bytes: bucket.max_bytes,
        max_age: bucket.max_age,
        max_message_size: bucket.max_value_size,
        storage: bucket.storage,
        republish: bucket.republish,
        allow_rollup: allows_rollup(&bucket.bucket),
        deny_delete: true,
        allow_direct: true,
        num_replicas: bucket.num_replicas,
        discard: DiscardPolicy::New,
        allow_message_ttl: bucket.limit_markers.is_some(),
        subject_delete_marker_ttl: bucket.limit_markers,
        ..stream::Config::default()
    }
}

/// All buckets.
#[must_use]
pub fn buckets(settings: &Settings) -> Vec<kv::Config> {
    let bucket = |bucket: Bucket, description: &str| kv::Config {
        bucket: bucket.name().into(),
        description: description.into(),
        history: 1,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        ..kv::Config::default()
    };
    vec![
        bucket(Bucket::Cluster, "What every part of the cluster must agree on"),
        kv::Config {
            // Allows the marker that a revoked device leaves to go away after a while.
            limit_markers: Some(MARKERS_KEPT),
            ..bucket(
                Bucket::Devices,
                "Devices by user: name, platform, hash of the refresh token",
            )
        },
        kv::Config {
            // Longer than any access token of our own, and than those of most outside providers.
            max_age: Duration::from_hours(24),
            ..bucket(
                Bucket::Revocations,
                "Devices whose access tokens are no longer taken",
            )
        },
        kv::Config {
            limit_markers: Some(MARKERS_KEPT),
            ..bucket(
                Bucket::Edges,
                "Leases of the edges: who lives, where, with which load",
            )
        },
        kv::Config {
            limit_markers: Some(MARKERS_KEPT),
            ..bucket(Bucket::Sessions, "Connected devices, by edge, user and device")
        },
        kv::Config {
            republish: Some(Republish {
                source: presence::REPUBLISH_SOURCE.into(),
                destination: presence::republish_destination(),
                headers_only: false,
            }),
            ..bucket(
                Bucket::Presence,
                "Who is online, away or offline, and when they were last seen",
            )
        },
        kv::Config {
            max_age: PUSHES_KEPT,
            ..bucket(
                Bucket::Pushes,
                "What devices are to be told, or were, by channel, user, device and conversation",
            )
        },
        kv::Config {
            limit_markers: Some(MARKERS_KEPT),
            ..bucket(
                Bucket::PushTargets,
                "Which device has registered an endpoint or a token",
            )
        },
        bucket(Bucket::PushKeys, "Private keys for push services"),
    ]
}
