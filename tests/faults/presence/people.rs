//! People who come and go on bare sockets, and what is true of them.

use std::collections::BTreeMap;

use natterjack::fleet::Socket;
use natterjack_client::{Account, Api, Credentials};
use natterjack_nats::{
    DeviceId, EdgeId, UserId,
    wire::{ClientFrame, HelloDevice, PresenceState},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

const PASSWORD: &str = "correct horse battery";

/// A user on one device.
#[derive(Debug, Clone)]
pub struct Person {
    pub user: UserId,
    pub device: DeviceId,
    pub token: String,
    handle: String,
}

impl Person {
    pub async fn sign_up(url: &str, handle: &str) -> anyhow::Result<Self> {
        let account = Account::sign_up(&Api::new(url)?, credentials(handle)).await?;
        Ok(Self::of(&account, handle).await)
    }

    /// The same user on another device.
    pub async fn again(&self, url: &str) -> anyhow::Result<Self> {
        let account = Account::log_in(&Api::new(url)?, credentials(&self.handle)).await?;
        Ok(Self::of(&account, &self.handle).await)
    }

    async fn of(account: &Account, handle: &str) -> Self {
        Self {
            user: account.user().id,
            device: account.device(),
            token: account.tokens().await.access_token,
            handle: handle.to_owned(),
        }
    }
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

/// A connection that answers pings until it is closed; dropped, it vanishes.
#[derive(Debug)]
pub struct Connection {
    pub edge: EdgeId,
    frames: mpsc::UnboundedSender<ClientFrame>,
    close: Option<oneshot::Sender<()>>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Connection {
    pub async fn open(url: &str, person: &Person, active: bool) -> anyhow::Result<Self> {
        let socket = Socket::open(url, &person.token, active).await?;
        let edge = socket.ready().edge;
        let (frames, said) = mpsc::unbounded_channel();
        let (close, closing) = oneshot::channel();
        Ok(Self {
            edge,
            frames,
            close: Some(close),
            task: tokio::spawn(hold(socket, said, closing)),
        })
    }

    /// The app goes to the foreground or to the background.
    pub fn active(&self, active: bool) {
        // A connection that is lost says nothing any more.
        let _ = self.frames.send(ClientFrame::Active { active });
    }

    /// Whether it still stands.
    pub fn is_open(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends it in good order.
    pub async fn close(mut self) -> anyhow::Result<()> {
        if let Some(close) = self.close.take() {
            let _ = close.send(());
        }
        (&mut self.task).await?
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hold(
    mut socket: Socket,
    mut said: mpsc::UnboundedReceiver<ClientFrame>,
    mut closing: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            frame = socket.next() => drop(frame?),
            Some(frame) = said.recv() => socket.say(&frame).await?,
            _ = &mut closing => {
                socket.close().await;
                return Ok(());
            }
        }
    }
}

/// What is true: who is connected, and whether in the foreground.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Every device that is connected, with its user and its edge, and whether it is active.
    pub sessions: BTreeMap<(EdgeId, UserId, DeviceId), bool>,
}

impl Truth {
    pub fn of<'a>(connected: impl IntoIterator<Item = (&'a Person, &'a Connection, bool)>) -> Self {
        let mut truth = Self::default();
        for (person, connection, active) in connected {
            let key = (connection.edge, person.user, person.device);
            *truth.sessions.entry(key).or_default() |= active;
        }
        truth
    }

    /// As presence is to say it.
    pub fn state(&self, user: UserId) -> PresenceState {
        let mut state = PresenceState::Offline;
        for ((_, whose, _), active) in &self.sessions {
            if *whose == user {
                let one = if *active {
                    PresenceState::Online
                } else {
                    PresenceState::Away
                };
                state = state.max(one);
            }
        }
        state
    }
}
