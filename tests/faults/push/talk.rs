//! Those who talk, without a pause, to everybody and in groups.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use natterjack_client::{Account, Client, QueueError};
use natterjack_nats::{Conversation, UserId};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};

use super::people::Cast;

/// Mean time between two messages of one sender.
const PACE_MS: u64 = 150;
/// One in so many is said in a group.
const IN_GROUP: u32 = 12;
/// How long everything may take to be acknowledged in the end.
const FLUSHED_WITHIN: Duration = Duration::from_secs(60);

/// Talking, until [`Talk::hush`].
pub struct Talk {
    stop: Arc<AtomicBool>,
    talking: JoinSet<anyhow::Result<usize>>,
}

impl Talk {
    pub fn start(cast: &Cast, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut talking = JoinSet::new();
        let users: Arc<[UserId]> = cast.people.iter().map(|person| person.user).collect();
        for (index, sender) in cast.senders.iter().enumerate() {
            let me = sender.user().id;
            let groups = cast.groups.iter().filter(|(_, members)| members.contains(&me));
            let groups: Vec<_> = groups.map(|(group, _)| *group).collect();
            let random = StdRng::seed_from_u64(seed.wrapping_add(1 + index as u64));
            let (users, stop) = (Arc::clone(&users), Arc::clone(&stop));
            talking.spawn(talk(sender.clone(), users, groups, stop, random));
        }
        Self { stop, talking }
    }

    /// Ends it once all that was said is on disk; how much it was.
    pub async fn hush(&mut self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let mut said = 0;
        while let Some(one) = self.talking.join_next().await {
            said += one??;
        }
        Ok(said)
    }
}

async fn talk(
    sender: Account,
    users: Arc<[UserId]>,
    groups: Vec<Conversation>,
    stop: Arc<AtomicBool>,
    mut random: StdRng,
) -> anyhow::Result<usize> {
    let me = sender.user().id;
    let mut config = sender.config();
    config.discovery = false;
    config.active = false;
    config.backoff_max = Duration::from_secs(1);
    config.ack_timeout = Duration::from_secs(5);
    let (client, mut events) = Client::connect(config)?;
    let listening = tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut said = 0;
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(random.random_range(1..2 * PACE_MS))).await;
        let conversation = match groups.get(random.random_range(0..groups.len().max(1))) {
            Some(group) if random.random_range(0..IN_GROUP) == 0 => *group,
            _ => Conversation::dm(me, users[random.random_range(0..users.len())]),
        };
        match client.send(conversation, format!("{said}: {}", random.next_u32())) {
            Ok(_) => said += 1,
            // As much as it takes waits already: an outage is long.
            Err(QueueError::Full) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(client.flush(FLUSHED_WITHIN).await, "not all was acknowledged");
    client.close().await;
    listening.abort();
    Ok(said)
}
