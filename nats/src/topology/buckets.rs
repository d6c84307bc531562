//! KV buckets.
//!
//! | bucket | key | value | who writes |
//! |---|---|---|---|
//! | `cluster` | `shards`, `jwks` | what every part must agree on | provisioning; the persister (`jwks`) |
//! | `devices` | `<user>.<device>` | name, platform, hash of the refresh token | the persister |
//! | `revocations` | `<user>.<device>` | when the device was revoked; kept for a day, longer than an access token lives | the persister |

use std::time::Duration;

use async_nats::jetstream::{kv, stream::StorageType};

use super::Settings;

/// The buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// What every part of the cluster must agree on.
    Cluster,
    /// What outlives a connection.
    Devices,
    /// Devices whose access tokens must no longer be taken.
    Revocations,
}

impl Bucket {
    /// The bucket's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Devices => "devices",
            Self::Revocations => "revocations",
        }
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
            limit_markers: Some(Duration::from_hours(24)),
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
    ]
}
