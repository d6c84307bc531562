//! Many clients that talk 1:1 and in groups over all edges, on record.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use natterjack::check::{Recorded, Recorder, Summary};
use natterjack_client::{Account, Api, Credentials, QueueError};
use natterjack_nats::{Conversation, UserId, wire::HelloDevice};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};

/// How long everything may take to come to rest on a busy machine.
pub const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const GROUP_OF: usize = 10;
/// Mean time between two messages of one client.
const PACE_MS: u64 = 250;

/// The clients, and where each of them talks.
pub struct Crowd {
    pub recorder: Recorder,
    members: Arc<Vec<Member>>,
    stop: Arc<AtomicBool>,
    talking: JoinSet<anyhow::Result<usize>>,
}

struct Member {
    device: Recorded,
    conversations: Vec<Conversation>,
}

impl Crowd {
    /// Signs up `count` users, puts ten each into a group, and connects them: each address is preferred by as
    /// many, and all of them go to another one when theirs is away.
    pub async fn gather(urls: &[String], count: usize) -> anyhow::Result<Self> {
        let recorder = Recorder::new();
        let mut accounts = Vec::with_capacity(count);
        for index in 0..count {
            let mut urls = urls.to_vec();
            let edges = urls.len();
            urls.rotate_left(index % edges);
            let device = HelloDevice {
                id: None,
                name: "test".into(),
                platform: "test".into(),
            };
            let (handle, password) = (format!("user{index}"), "correct horse battery".into());
            let credentials = Credentials {
                handle,
                password,
                device,
            };
            accounts.push(Account::sign_up(&Api::of_servers(&urls)?, credentials).await?);
        }
        let mut groups = Vec::new();
        for members in accounts.chunks(GROUP_OF) {
            let others: Vec<_> = members[1..].iter().map(|account| account.user().id).collect();
            groups.push(
                members[0]
                    .api()
                    .create_group("crowd", &others)
                    .await?
                    .conversation,
            );
        }
        let mut members = Vec::with_capacity(count);
        for (index, account) in accounts.iter().enumerate() {
            let mut config = account.config();
            // The scenario decides who is on which edge.
            config.discovery = false;
            config.backoff_max = Duration::from_secs(1);
            config.ack_timeout = Duration::from_secs(5);
            let device = recorder.connect(format!("user{index}"), account, config)?;
            let peers = [1, 7].map(|step| accounts[(index + step) % count].user().id);
            let mut conversations = peers.map(|peer| Conversation::dm(device.user(), peer)).to_vec();
            conversations.push(groups[index / GROUP_OF]);
            members.push(Member {
                device,
                conversations,
            });
        }
        recorder.ready(SETTLED_WITHIN).await?;
        Ok(Self {
            recorder,
            members: Arc::new(members),
            stop: Arc::default(),
            talking: JoinSet::new(),
        })
    }

    /// Who they are.
    pub fn users(&self) -> Vec<UserId> {
        self.members.iter().map(|member| member.device.user()).collect()
    }

    /// From now on everybody talks, until [`Crowd::hush`].
    pub fn talk(&mut self, seed: u64) {
        self.stop.store(false, Ordering::Relaxed);
        for index in 0..self.members.len() {
            let (members, stop) = (Arc::clone(&self.members), Arc::clone(&self.stop));
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(index as u64));
            self.talking.spawn(async move {
                let member = &members[index];
                let mut said = 0;
                while !stop.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(random.random_range(1..2 * PACE_MS))).await;
                    let conversation =
                        member.conversations[random.random_range(0..member.conversations.len())];
                    match member
                        .device
                        .send(conversation, format!("{said} of {index}: {}", random.next_u32()))
                    {
                        Ok(_) => said += 1,
                        // As much as it takes waits already: an outage is long.
                        Err(error) if error.downcast_ref() == Some(&QueueError::Full) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(said)
            });
        }
    }

    /// Ends the talking; how much was said.
    pub async fn hush(&mut self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let mut said = 0;
        while let Some(member) = self.talking.join_next().await {
            said += member??;
        }
        Ok(said)
    }

    /// Ends the talking, waits until all is at rest, and checks every promise.
    pub async fn check(&mut self) -> anyhow::Result<Summary> {
        let said = self.hush().await?;
        let summary = self.recorder.check(SETTLED_WITHIN).await?;
        println!("{said} said: {summary:?}");
        let failed = self.recorder.failed();
        anyhow::ensure!(failed.is_empty(), "refused for good: {failed:?}");
        anyhow::ensure!(
            summary.acked >= said,
            "{said} said, {} acknowledged",
            summary.acked
        );
        Ok(summary)
    }

    /// Everybody leaves.
    pub async fn leave(self) -> anyhow::Result<()> {
        let members = Arc::try_unwrap(self.members)
            .ok()
            .context("nobody talks any more")?;
        let mut leaving: JoinSet<_> = members
            .into_iter()
            .map(|member| member.device.close(SETTLED_WITHIN))
            .collect();
        while let Some(left) = leaving.join_next().await {
            left??;
        }
        Ok(())
    }
}
