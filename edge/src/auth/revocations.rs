//! Devices that were logged out or revoked: their access tokens are signed well and not taken any
//! more. One watch of one bucket per edge; whoever holds a socket of such a device hears of it.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_nats::jetstream::{self, kv};
use natterjack_nats::{DeviceId, UserId, subjects::kv as keys, topology::Bucket, wire::Revocation};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks};
use tokio::sync::broadcast;

use super::Identity;
use crate::connections::{Follower, Reconnects};

/// Longer than the bucket keeps an entry, so that a restarted watch never knows less than before.
const KEEP_MS: u64 = 60 * 60 * 1_000;

/// Listeners further behind than this many revocations miss some: they compare with the set then.
const BROADCAST_MAX: usize = 1_024;

/// How long the start waits for what was revoked before.
const FIRST_READ_MAX: Duration = Duration::from_secs(10);

/// How revocations are heard.
#[derive(Debug)]
pub struct Revocable<'a, F> {
    /// When the connection is there again.
    pub reconnects: &'a Reconnects,
    /// For how long: as long as anybody may be connected.
    pub until: F,
}

/// What was revoked lately.
#[derive(Clone)]
pub(super) struct Revocations(Arc<Inner>);

struct Inner {
    set: RwLock<Set>,
    told: broadcast::Sender<(UserId, DeviceId)>,
    clock: Clock,
}

#[derive(Default)]
struct Set {
    revoked_at_ms: HashMap<(UserId, DeviceId), u64>,
    cleaned_at_ms: u64,
}

impl Revocations {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            set: RwLock::default(),
            told: broadcast::Sender::new(BROADCAST_MAX),
            clock,
        }))
    }

    /// Reads what was revoked before, then keeps watching.
    pub async fn start(
        context: jetstream::Context,
        revocable: Revocable<'_, impl Future<Output = ()> + Send + 'static>,
        clock: Clock,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let this = Self::new(clock);
        let Revocable { reconnects, until } = revocable;
        let (mut follower, pending) = Follower::start(context, Bucket::Revocations, reconnects).await?;
        // Before a token is taken, what was revoked before must be known. An entry may expire
        // while it is waited for, so that the wait is bounded.
        if pending {
            let caught_up = async { while !this.hear(&follower.next().await) {} };
            let _ = tokio::time::timeout(FIRST_READ_MAX, caught_up).await;
        }
        let task = this.clone();
        tasks.spawn("auth.revocations", async move {
            let mut until = pin!(until);
            loop {
                tokio::select! {
                    entry = follower.next() => task.hear(&entry),
                    () = &mut until => return Ok(()),
                };
            }
        });
        Ok(this)
    }

    /// Whether the device was revoked after the token was made. A device of an outside provider may
    /// come back with a token that is younger than the revocation.
    pub fn covers(&self, identity: &Identity) -> bool {
        let set = self.0.set.read().unwrap_or_else(PoisonError::into_inner);
        set.revoked_at_ms
            .get(&(identity.user, identity.device))
            .is_some_and(|revoked_at_ms| identity.issued_at_ms <= *revoked_at_ms)
    }

    pub fn subscribe(&self) -> broadcast::Receiver<(UserId, DeviceId)> {
        self.0.told.subscribe()
    }

    /// Takes note; tells listeners if it is news.
    pub fn add(&self, user: UserId, device: DeviceId, at_ms: u64) {
        let now_ms = self.0.clock.now_ms();
        let mut set = self.0.set.write().unwrap_or_else(PoisonError::into_inner);
        if now_ms.saturating_sub(set.cleaned_at_ms) > KEEP_MS / 10 {
            set.cleaned_at_ms = now_ms;
            set.revoked_at_ms
                .retain(|_, at_ms| now_ms.saturating_sub(*at_ms) <= KEEP_MS);
        }
        let known = set.revoked_at_ms.entry((user, device)).or_default();
        if *known >= at_ms {
            return;
        }
        *known = at_ms;
        drop(set);
        // Nobody listening is fine.
        let _ = self.0.told.send((user, device));
    }

    /// Takes note of one entry; answers whether all that was there at the start of the watch is known
    /// now.
    fn hear(&self, entry: &kv::Entry) -> bool {
        if entry.operation == kv::Operation::Put
            && let Some((user, device)) = keys::parse_device(&entry.key)
        {
            // A value from a newer server that does not decode: the time of storing is the next best.
            let stored_ms =
                u64::try_from(entry.created.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
            let at_ms = serde_json::from_slice::<Revocation>(&entry.value).map_or(stored_ms, |told| told.at);
            self.add(user, device, at_ms);
        }
        entry.seen_current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issued_at_ms: u64) -> Identity {
        Identity {
            user: UserId::from_parts(1, 1),
            device: DeviceId::from_parts(2, 2),
            expires_at_ms: issued_at_ms + 900_000,
            issued_at_ms,
        }
    }

    #[tokio::test]
    async fn a_revocation_covers_older_tokens_and_is_told_once() {
        let (clock, hand) = Clock::manual(50_000_000);
        let revocations = Revocations::new(clock);
        let mut told = revocations.subscribe();
        let token = identity(50_000_000);
        assert!(!revocations.covers(&token));
        revocations.add(token.user, token.device, 50_000_500);
        revocations.add(token.user, token.device, 50_000_500);
        assert!(revocations.covers(&token));
        assert!(
            !revocations.covers(&identity(50_000_501)),
            "logged in again after it"
        );
        assert_eq!(told.try_recv().ok(), Some((token.user, token.device)));
        assert!(told.try_recv().is_err(), "no news, not told twice");

        hand.advance(Duration::from_millis(KEEP_MS + 1_000));
        revocations.add(UserId::from_parts(9, 9), token.device, 50_000_000 + KEEP_MS);
        assert!(!revocations.covers(&token), "forgotten in time");
    }
}
