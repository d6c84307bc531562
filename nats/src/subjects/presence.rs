//! `live.presence.<bucket>.<user>`: changes of presence, republished by JetStream after they are
//! stored in the KV bucket `presence`.
//!
//! Users are spread over [`BUCKETS`] buckets by a hash, so that an edge subscribes to the buckets of
//! the people who are watched there: never more than so many subscriptions, however many people
//! that are. The server computes the same bucket by its subject mapping function `partition`
//! (<https://docs.nats.io/nats-concepts/subject_mapping#deterministic-subject-token-partitioning>),
//! which is FNV-1a over the token.

use crate::{ids::UserId, shard};

/// Into how many buckets users are spread; part of the contract, since edges and the stream's
/// republish must agree.
pub const BUCKETS: u16 = 256;

/// What the stream of the bucket `presence` republishes.
pub const REPUBLISH_SOURCE: &str = "$KV.presence.*";

/// Where to, in the server's notation for a mapping.
#[must_use]
pub fn republish_destination() -> String {
    format!("live.presence.{{{{partition({BUCKETS},1)}}}}.{{{{wildcard(1)}}}}")
}

/// The bucket of a user, below [`BUCKETS`].
#[must_use]
pub fn bucket(user: UserId) -> u16 {
    shard::spread(&user, BUCKETS)
}

/// The subject on which a user's changes are heard, for example `live.presence.227.01j…`.
#[must_use]
pub fn subject(user: UserId) -> String {
    format!("live.presence.{}.{user}", bucket(user))
}

/// The changes of all users of a bucket.
#[must_use]
pub fn wildcard(bucket: u16) -> String {
    format!("live.presence.{bucket}.*")
}

/// The changes of all users, for who looks at all of it: an operator, or a benchmark.
pub const ALL: &str = "live.presence.*.*";

/// The user of a subject of this family.
#[must_use]
pub fn parse(subject: &str) -> Option<UserId> {
    let (_, user) = subject.strip_prefix("live.presence.")?.split_once('.')?;
    user.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{conversation::tests::any_user, subjects::live};

    proptest! {
        #[test]
        fn round_trip(user in any_user()) {
            let subject = subject(user);
            prop_assert_eq!(parse(&subject), Some(user));
            prop_assert!(bucket(user) < BUCKETS);
            prop_assert!(subject.starts_with(wildcard(bucket(user)).trim_end_matches('*')));
            prop_assert_eq!(live::parse(&subject), None);
        }
    }
}
