//! Somebody who watches people, moves when an edge goes, and notes all that is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::bail;
use natterjack::fleet::Socket;
use natterjack_nats::{
    UserId,
    wire::{ClientFrame, ServerFrame, ShownState},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::people::Person;

const POLL: Duration = Duration::from_millis(10);
const AGAIN: Duration = Duration::from_millis(100);

/// What was told of a user.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub at: Instant,
    pub user: UserId,
    pub state: ShownState,
}

/// The watcher; gone when dropped.
#[derive(Debug)]
pub struct Watcher {
    told: Arc<Mutex<Vec<Told>>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Watches these users through the first of the edges that takes the connection, and from there
    /// on always through one that does.
    pub fn start(urls: Vec<String>, person: Person, users: Vec<UserId>) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(watch(urls, person, users, Arc::clone(&told)));
        Self { told, task }
    }

    /// How much was told so far: a mark to look back to.
    pub fn mark(&self) -> usize {
        self.told().len()
    }

    /// All that was told since a mark.
    pub fn since(&self, mark: usize) -> Vec<Told> {
        self.told()[mark..].to_vec()
    }

    /// What was told last of each user.
    pub fn last(&self) -> BTreeMap<UserId, ShownState> {
        self.told().iter().map(|told| (told.user, told.state)).collect()
    }

    /// Waits until this was told last of all these users.
    pub async fn until(&self, users: &[UserId], state: ShownState, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let last = self.last();
            let Some(other) = users.iter().find(|user| last.get(*user) != Some(&state)) else {
                return Ok(());
            };
            if Instant::now() > deadline {
                bail!(
                    "{other} is not shown {state:?} after {within:?}, but {:?}",
                    last.get(other)
                );
            }
            sleep(POLL).await;
        }
    }

    /// What else than that was told of these users since a mark.
    pub fn other_than(&self, state: ShownState, users: &[UserId], mark: usize) -> Vec<Told> {
        let mut told = self.since(mark);
        told.retain(|told| users.contains(&told.user) && told.state != state);
        told
    }

    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(urls: Vec<String>, person: Person, users: Vec<UserId>, told: Arc<Mutex<Vec<Told>>>) {
    for url in urls.iter().cycle() {
        if let Ok(mut socket) = Socket::open(url, &person.token, false).await {
            let watch = ClientFrame::Watch {
                id: "watch".into(),
                users: users.clone(),
            };
            let mut lost = socket.say(&watch).await.is_err();
            while !lost {
                match socket.next().await {
                    Ok(ServerFrame::Presence { users, .. }) => {
                        let at = Instant::now();
                        let now = users.iter().map(|one| Told {
                            at,
                            user: one.user,
                            state: one.state,
                        });
                        told.lock().unwrap().extend(now);
                    }
                    Ok(ServerFrame::Error { error, .. }) => {
                        eprintln!("the watcher was told: {error:?}");
                        lost = true;
                    }
                    Ok(ServerFrame::Draining { .. }) | Err(_) => lost = true,
                    Ok(_) => {}
                }
            }
        }
        sleep(AGAIN).await;
    }
}
