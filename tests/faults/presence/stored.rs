//! What the buckets say of who is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context;
use async_nats::Client;
use natterjack::fleet::audit;
use natterjack_nats::{
    DeviceId, EdgeId, UserId,
    cluster::{self, Login},
    subjects::kv,
    topology::Bucket,
    wire::{DeviceSession, Lease, PresenceRecord, PresenceState},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::people::Truth;

const POLL: Duration = Duration::from_millis(50);

/// The buckets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Stored {
    client: Client,
    /// Those who only watch.
    left_out: Arc<Mutex<BTreeSet<UserId>>>,
}

impl Stored {
    pub async fn open(nats: Login) -> anyhow::Result<Self> {
        let client = cluster::connect(nats, "natterjack test", |_| {}).await?;
        let left_out = Arc::default();
        Ok(Self { client, left_out })
    }

    /// From now on nothing is said of this user in sessions and presence.
    pub fn leave_out(&self, user: UserId) {
        self.left_out.lock().unwrap().insert(user);
    }

    pub fn leave_out_nobody(&self) {
        self.left_out.lock().unwrap().clear();
    }

    fn counts(&self, user: UserId) -> bool {
        !self.left_out.lock().unwrap().contains(&user)
    }

    pub async fn sessions(&self) -> anyhow::Result<BTreeMap<(EdgeId, UserId, DeviceId), DeviceSession>> {
        let all = self.all::<DeviceSession>(Bucket::Sessions).await?;
        let parse = |(key, session): (String, DeviceSession)| {
            let key = kv::parse_session(&key).with_context(|| format!("the key {key}"))?;
            Ok((key, session))
        };
        let mut all: BTreeMap<_, _> = all.into_iter().map(parse).collect::<anyhow::Result<_>>()?;
        all.retain(|(_, user, _), _| self.counts(*user));
        Ok(all)
    }

    pub async fn presence(&self) -> anyhow::Result<BTreeMap<UserId, PresenceRecord>> {
        let all = self.all::<PresenceRecord>(Bucket::Presence).await?;
        let parse = |(key, record): (String, PresenceRecord)| Ok((key.parse::<UserId>()?, record));
        let mut all: BTreeMap<_, _> = all.into_iter().map(parse).collect::<anyhow::Result<_>>()?;
        all.retain(|user, _| self.counts(*user));
        Ok(all)
    }

    pub async fn lease(&self, edge: EdgeId) -> anyhow::Result<Option<Lease>> {
        self.one(Bucket::Edges, &edge.to_string()).await
    }

    pub async fn state(&self, user: UserId) -> anyhow::Result<PresenceState> {
        let record: Option<PresenceRecord> = self.one(Bucket::Presence, &user.to_string()).await?;
        Ok(record.unwrap_or_default().state)
    }

    /// Waits until the bucket `presence` says this of all these users.
    pub async fn until(
        &self,
        users: &[UserId],
        state: PresenceState,
        within: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        for user in users {
            loop {
                let now = self.state(*user).await?;
                if now == state {
                    break;
                }
                anyhow::ensure!(
                    Instant::now() < deadline,
                    "{user} is {now:?} and not {state:?} in the bucket after {within:?}"
                );
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Waits until the sessions are those that are really there, and everybody's presence is what
    /// follows from them.
    pub async fn agrees(&self, truth: &Truth, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let Some(difference) = self.difference(truth).await? else {
                return Ok(());
            };
            anyhow::ensure!(Instant::now() < deadline, "after {within:?} {difference}");
            sleep(POLL).await;
        }
    }

    async fn difference(&self, truth: &Truth) -> anyhow::Result<Option<String>> {
        let sessions = self.sessions().await?;
        let now: BTreeMap<_, bool> = sessions
            .iter()
            .map(|(key, session)| (*key, session.active))
            .collect();
        let ghost = now.iter().find(|(key, _)| !truth.sessions.contains_key(*key));
        if let Some((key, _)) = ghost {
            return Ok(Some(format!("the session {key:?} is nobody's")));
        }
        let missing = truth
            .sessions
            .iter()
            .find(|(key, active)| now.get(*key) != Some(*active));
        if let Some((key, active)) = missing {
            let stored = now.get(key);
            return Ok(Some(format!(
                "the session {key:?} is stored as {stored:?} and not as {active}"
            )));
        }
        for (edge, _, _) in now.keys() {
            let lease = self.lease(*edge).await?;
            let epoch = lease.map(|lease| lease.epoch);
            let other = sessions
                .iter()
                .find(|((of, _, _), session)| of == edge && Some(session.epoch) != epoch);
            if let Some((key, session)) = other {
                return Ok(Some(format!(
                    "the session {key:?} is of epoch {}, and the lease is of {epoch:?}",
                    session.epoch
                )));
            }
        }
        let presence = self.presence().await?;
        let connected = truth.sessions.keys().map(|(_, user, _)| *user);
        for user in connected.chain(presence.keys().copied()) {
            let (is, should) = (
                presence.get(&user).copied().unwrap_or_default().state,
                truth.state(user),
            );
            if is != should {
                return Ok(Some(format!("{user} is {is:?} and should be {should:?}")));
            }
        }
        Ok(None)
    }

    async fn all<T: DeserializeOwned>(&self, bucket: Bucket) -> anyhow::Result<BTreeMap<String, T>> {
        audit::bucket(&self.client, bucket).await
    }

    async fn one<T: DeserializeOwned>(&self, bucket: Bucket, key: &str) -> anyhow::Result<Option<T>> {
        Ok(self.all(bucket).await?.remove(key))
    }
}
