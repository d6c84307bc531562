//! Who is told, and how they are connected.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use natterjack::fleet::{Fleet, Phones};
use natterjack_client::{Account, Api, Client, Credentials};
use natterjack_nats::{Conversation, DeviceId, UserId, wire::HelloDevice};
use tokio::task::JoinHandle;

const PASSWORD: &str = "correct horse battery";
/// Sign-ups that are under way at a time.
const SIGN_UPS: usize = 8;

/// How many of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    pub offline: usize,
    pub background: usize,
    pub half_open: usize,
    pub foreground: usize,
    pub senders: usize,
    pub groups: usize,
}

/// How somebody is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Not at all.
    Offline,
    /// The phone's app is in the background, and confirms what arrives.
    Background,
    /// The phone's app is in the foreground, as its connection says, and confirms nothing.
    HalfOpen,
    /// A laptop is in the foreground and confirms what arrives; the phone is offline.
    Foreground,
}

/// Somebody who is told.
pub struct Person {
    pub user: UserId,
    pub kind: Kind,
    /// The names under which the push service knows the devices.
    pub phones: Vec<String>,
}

/// All of them, and those who talk.
pub struct Cast {
    pub people: Vec<Person>,
    pub senders: Vec<Account>,
    /// Groups with all their members.
    pub groups: BTreeMap<Conversation, BTreeSet<UserId>>,
    /// By name.
    pub devices: BTreeMap<String, (UserId, DeviceId)>,
    connected: Vec<(Client, JoinHandle<()>)>,
}

impl Cast {
    pub async fn gather(fleet: &Fleet, phones: &Phones, count: Count) -> anyhow::Result<Self> {
        let kinds = [
            (Kind::Offline, count.offline),
            (Kind::Background, count.background),
            (Kind::HalfOpen, count.half_open),
            (Kind::Foreground, count.foreground),
        ];
        let kinds: Vec<_> = kinds
            .into_iter()
            .flat_map(|(kind, count)| std::iter::repeat_n(kind, count))
            .collect();
        let one = |(index, kind): (usize, Kind)| {
            let urls = urls(fleet, index);
            async move {
                let api = Api::of_servers(&urls)?;
                let handle = format!("user{index}");
                let phone = Account::sign_up(&api, credentials(&handle)).await?;
                let laptop = match kind {
                    Kind::Foreground => Some(Account::log_in(&api, credentials(&handle)).await?),
                    _ => None,
                };
                anyhow::Ok((index, kind, phone, laptop))
            }
        };
        let accounts: Vec<_> = stream::iter(kinds.into_iter().enumerate())
            .map(one)
            .buffered(SIGN_UPS)
            .try_collect()
            .await?;
        let mut cast = Self {
            people: Vec::new(),
            senders: Vec::new(),
            groups: BTreeMap::new(),
            devices: BTreeMap::new(),
            connected: Vec::new(),
        };
        for (index, kind, phone, laptop) in accounts {
            let mut names = Vec::new();
            for (device, account) in [("phone", Some(&phone)), ("laptop", laptop.as_ref())] {
                let Some(account) = account else { continue };
                let name = format!("{device}{index}");
                register(&urls(fleet, index)[0], account, phones, &name).await?;
                cast.devices
                    .insert(name.clone(), (account.user().id, account.device()));
                names.push(name);
            }
            cast.people.push(Person {
                user: phone.user().id,
                kind,
                phones: names,
            });
            match kind {
                Kind::Offline => {}
                Kind::Background => cast.connect(&phone, false, true)?,
                Kind::HalfOpen => cast.connect(&phone, true, false)?,
                Kind::Foreground => cast.connect(laptop.as_ref().context("a laptop")?, true, true)?,
            }
        }
        for index in 0..count.senders {
            let api = Api::of_servers(&urls(fleet, index))?;
            let sender = Account::sign_up(&api, credentials(&format!("sender{index}"))).await?;
            cast.senders.push(sender);
        }
        cast.found_groups(count.groups).await?;
        Ok(cast)
    }

    /// Groups of some of each kind.
    async fn found_groups(&mut self, count: usize) -> anyhow::Result<()> {
        for index in 0..count {
            let owner = &self.senders[index % self.senders.len()];
            let members = self.people.iter().skip(index).step_by(count.max(9));
            let members: Vec<_> = members.map(|person| person.user).collect();
            ensure!(!members.is_empty(), "a group of nobody");
            let group = owner
                .api()
                .create_group(&format!("group{index}"), &members)
                .await?;
            let mut all: BTreeSet<_> = members.into_iter().collect();
            all.insert(owner.user().id);
            self.groups.insert(group.conversation, all);
        }
        Ok(())
    }

    /// Connects a device, which stays connected whatever happens.
    fn connect(&mut self, account: &Account, active: bool, confirms: bool) -> anyhow::Result<()> {
        let mut config = account.config();
        config.discovery = false;
        config.active = active;
        config.confirm_delivery = confirms;
        config.backoff_max = std::time::Duration::from_secs(1);
        let (client, mut events) = Client::connect(config)?;
        let listening = tokio::spawn(async move { while events.next().await.is_some() {} });
        self.connected.push((client, listening));
        Ok(())
    }

    /// Who is told of a message in a conversation, besides who sent it.
    pub fn listeners(&self, conversation: &Conversation, sender: UserId) -> Vec<&Person> {
        let in_group = self.groups.get(conversation);
        let hears = |person: &&Person| {
            person.user != sender
                && match conversation {
                    Conversation::Dm(dm) => dm.peer_of(sender) == Some(person.user),
                    _ => in_group.is_some_and(|members| members.contains(&person.user)),
                }
        };
        self.people.iter().filter(hears).collect()
    }

    /// Everybody leaves.
    pub async fn leave(self) {
        for (client, listening) in self.connected {
            client.close().await;
            listening.abort();
        }
    }
}

/// Half of them prefer the first edge.
fn urls(fleet: &Fleet, index: usize) -> Vec<String> {
    let mut urls = fleet.urls();
    let edges = urls.len();
    urls.rotate_left(index % edges);
    urls
}

fn credentials(handle: &str) -> Credentials {
    Credentials {
        handle: handle.to_owned(),
        password: PASSWORD.to_owned(),
        device: HelloDevice {
            id: None,
            name: "test".into(),
            platform: "test".into(),
        },
    }
}

async fn register(url: &str, account: &Account, phones: &Phones, name: &str) -> anyhow::Result<()> {
    let request = phones.subscribe(name)?;
    let token = account.tokens().await.access_token;
    let answer = reqwest::Client::new()
        .put(format!("{url}/v1/devices/{}/push", account.device()))
        .bearer_auth(token)
        .json(&request)
        .send()
        .await?;
    let status = answer.status();
    ensure!(status.is_success(), "{status} {}", answer.text().await?);
    Ok(())
}
