//! Everybody who talks: users with one device or two, in 1:1 chats and groups, over all edges.

mod device;
mod groups;
mod probe;
mod talk;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_client::{Account, Api, Credentials, SendFailure};
use natterjack_nats::{
    Conversation, UserId,
    wire::{Code, HelloDevice},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

pub use device::Device;
pub use probe::{Probe, Probes};

use crate::check::{Change, Recorder, Sessions, Told};

/// How long everybody may take to connect, and later to leave, on a busy machine.
const PRESENT_WITHIN: Duration = Duration::from_secs(90);
/// Sign-ups that are under way at a time.
const SIGN_UPS: usize = 8;
/// Every so many users has a second device.
const SECOND_DEVICE: usize = 5;
/// Sizes of groups, in turn.
const GROUP_SIZES: [usize; 4] = [3, 8, 16, 5];
/// Most people whom a user watches.
const WATCHED_MAX: usize = 30;
const HANDLE: &str = "user";
const PASSWORD: &str = "correct horse battery staple";

/// The crowd.
pub struct Crowd {
    /// What everybody was told.
    pub recorder: Recorder,
    /// The devices, in the order in which a plan counts them.
    pub devices: Vec<Arc<Device>>,
    groups: Vec<groups::Group>,
    accounts: Vec<Account>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<anyhow::Result<()>>,
    probe: Option<Probe>,
}

impl Crowd {
    /// Signs up as many users as `clients` devices need, makes groups of several sizes, and connects
    /// everybody.
    ///
    /// # Errors
    /// Something does not get ready.
    pub async fn gather(urls: &[String], clients: usize, seed: u64) -> anyhow::Result<Self> {
        let mut random = StdRng::seed_from_u64(seed ^ 0x6372_6f77_6400);
        let recorder = Recorder::new();
        // Of six devices, five are of different users.
        let users = clients - clients / (SECOND_DEVICE + 1);
        let accounts: Vec<Account> = stream::iter(0..users)
            .map(|index| sign_up(urls, index))
            .buffered(SIGN_UPS)
            .try_collect()
            .await?;
        let mut groups = Vec::new();
        for (index, size) in (0..users).step_by(4).zip(GROUP_SIZES.into_iter().cycle()) {
            let size = size.min(users);
            let asked = recorder.now();
            let members: Vec<usize> = (0..size).map(|step| (index + step) % users).collect();
            let others: Vec<_> = members[1..]
                .iter()
                .map(|user| accounts[*user].user().id)
                .collect();
            let made = accounts[index].api().create_group("torture", &others).await?;
            let (group, answered) = (made.conversation, Some(recorder.now()));
            recorder.with_journal(|journal| {
                for user in &others {
                    journal.changed(Change {
                        group,
                        user: *user,
                        joined: true,
                        asked,
                        answered,
                    });
                }
            });
            groups.push(groups::Group::new(group, &members, random.random()));
        }
        let mut crowd = Self {
            recorder,
            devices: Vec::new(),
            groups,
            accounts,
            stop: Arc::default(),
            tasks: JoinSet::new(),
            probe: None,
        };
        for index in 0..clients {
            let second = index >= users;
            let user = if second {
                (index - users) * SECOND_DEVICE % users
            } else {
                index
            };
            let account = if second {
                log_in(urls, user).await?
            } else {
                crowd.accounts[user].clone()
            };
            let device = Device::new(
                index,
                account,
                (crowd.places_of(user, users), crowd.watched_by(user, users)),
                &crowd.recorder,
                &mut random,
            );
            device.connect(None)?;
            crowd.devices.push(Arc::new(device));
        }
        let own = sign_up(urls, users).await?;
        crowd.probe = Some(Probe::connect(&crowd.recorder, &own)?);
        crowd.recorder.ready(PRESENT_WITHIN).await?;
        Ok(crowd)
    }

    /// Where a user talks: 1:1 with some others, with themself, and in groups.
    fn places_of(&self, user: usize, users: usize) -> Vec<Conversation> {
        let id = |index: usize| self.accounts[index % users].user().id;
        let me = id(user);
        // Each step is also taken backwards by somebody else.
        let dms = [1, 7]
            .into_iter()
            .flat_map(|step| [user + step, user + users - step.min(users)]);
        let dms = dms.map(|peer| Conversation::dm(me, id(peer)));
        let groups = self.groups.iter().filter(|group| group.knows(user));
        let mut places: Vec<_> = dms.chain(groups.map(|group| group.conversation)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Whom a user watches: some others, the next in the ring.
    fn watched_by(&self, user: usize, users: usize) -> Vec<UserId> {
        let others = (1..=WATCHED_MAX.min(users - 1)).map(|step| (user + step) % users);
        others.map(|other| self.accounts[other].user().id).collect()
    }

    /// From now on everybody talks, until [`Crowd::hush`].
    pub fn talk(&mut self, seed: u64, pace: Duration) {
        for (index, device) in self.devices.iter().enumerate() {
            let random = StdRng::seed_from_u64(seed.wrapping_add(1 + index as u64));
            let talking = talk::talk(Arc::clone(device), random, pace, Arc::clone(&self.stop));
            self.tasks.spawn(talking);
        }
        for group in std::mem::take(&mut self.groups) {
            let managed = groups::manage(
                group,
                self.accounts.clone(),
                self.recorder.clone(),
                Arc::clone(&self.stop),
            );
            self.tasks.spawn(managed);
        }
        if let Some(probe) = &self.probe {
            probe.start();
        }
    }

    /// Ends the talking, once what was begun is done.
    ///
    /// # Errors
    /// Something was refused that had to be allowed.
    pub async fn hush(&mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        for device in &self.devices {
            device.present()?;
        }
        Ok(())
    }

    /// What the probe found.
    ///
    /// # Errors
    /// It panicked.
    pub async fn probes(&mut self) -> anyhow::Result<Probes> {
        match self.probe.take() {
            Some(probe) => probe.stop(PRESENT_WITHIN).await,
            None => Ok(Probes::default()),
        }
    }

    /// Refusals for good that nothing in the workload explains.
    #[must_use]
    pub fn unexplained(&self) -> Vec<String> {
        let explained = |error: &SendFailure| match error {
            // A member who was removed; a text that was deleted meanwhile.
            SendFailure::Refused(error) => {
                matches!(error.code, Code::NotMember | Code::NotFound | Code::Forbidden)
            }
            SendFailure::Stopped => false,
        };
        let failed = self.recorder.failed();
        let unexplained = failed.iter().filter(|(_, error)| !explained(error));
        unexplained.map(|(id, error)| format!("{id}: {error}")).collect()
    }

    /// Writes into the record what each user is told of every conversation, now that all is at rest.
    ///
    /// # Errors
    /// A server that is at rest does not answer.
    pub async fn look_around(&self) -> anyhow::Result<()> {
        for account in &self.accounts {
            let (api, mut page) = (account.api(), None);
            loop {
                let list = api.conversations(page.as_deref(), None).await;
                let list = list.context("a list of conversations at the end")?;
                self.recorder.with_journal(|journal| {
                    for summary in &list.conversations {
                        let told = Told {
                            cursor: summary.cursor,
                            unread: summary.unread,
                        };
                        journal.rests(account.user().id, summary.conversation, told);
                    }
                });
                page = list.next;
                if page.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Some go to the background and some leave, so that not everybody is the same at the end; then who
    /// is there, in truth.
    ///
    /// # Errors
    /// Somebody has messages without an answer, or has ended.
    pub async fn part(&self) -> anyhow::Result<Sessions> {
        let mut truth = Sessions::new();
        for (index, device) in self.devices.iter().enumerate() {
            match index % 4 {
                1 => device.set_active(false).await?,
                2 => device.leave(PRESENT_WITHIN).await?,
                _ => {}
            }
            if let Some(active) = device.is_active().await {
                truth.insert((device.user(), device.id()), active);
            }
        }
        Ok(truth)
    }

    /// Everybody leaves.
    ///
    /// # Errors
    /// Somebody has messages without an answer.
    pub async fn leave(self) -> anyhow::Result<()> {
        let leaving = self.devices.iter().map(|device| device.leave(PRESENT_WITHIN));
        futures::future::try_join_all(leaving).await?;
        Ok(())
    }
}

async fn sign_up(urls: &[String], index: usize) -> anyhow::Result<Account> {
    let api = Api::of_servers(&turned(urls, index))?;
    let account = Account::sign_up(&api, credentials(index)).await;
    account.with_context(|| format!("{HANDLE}{index} could not be signed up"))
}

async fn log_in(urls: &[String], index: usize) -> anyhow::Result<Account> {
    let api = Api::of_servers(&turned(urls, index + 1))?;
    let account = Account::log_in(&api, credentials(index)).await;
    account.with_context(|| format!("{HANDLE}{index} could not log in"))
}

fn credentials(index: usize) -> Credentials {
    Credentials {
        handle: format!("{HANDLE}{index}"),
        password: PASSWORD.into(),
        device: HelloDevice {
            id: None,
            name: "torture".into(),
            platform: "test".into(),
        },
    }
}

/// The edges, another one first for everybody.
fn turned(urls: &[String], index: usize) -> Vec<String> {
    let mut urls = urls.to_vec();
    let count = urls.len().max(1);
    urls.rotate_left(index % count);
    urls
}
