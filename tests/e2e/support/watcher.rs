//! A client that shows whether people are there.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use natterjack_nats::{
    UserId,
    wire::{Message, ServerFrame, ShownState, UserPresence, WireError},
};
use serde_json::json;

use super::{
    raw::{Heard, Raw},
    user::{User, new_id},
};

/// A socket, and what its client shows of others.
pub struct Watcher {
    pub socket: Raw,
    pub told: BTreeMap<UserId, UserPresence>,
    pub messages: Vec<Message>,
    /// How many frames of presence came.
    pub frames: usize,
}

impl Watcher {
    pub async fn new(user: &User, edge: usize) -> anyhow::Result<Self> {
        Ok(Self::of(user.online(edge).await?))
    }

    const fn of(socket: Raw) -> Self {
        Self {
            socket,
            told: BTreeMap::new(),
            messages: vec![],
            frames: 0,
        }
    }

    /// The next frame; presence and messages are noted in their order.
    pub async fn next(&mut self) -> anyhow::Result<ServerFrame> {
        let Heard::Frame(frame) = self.socket.next().await? else {
            bail!("closed");
        };
        match &frame {
            ServerFrame::Presence { users, .. } => {
                self.frames += 1;
                self.told.extend(users.iter().map(|one| (one.user, *one)));
            }
            ServerFrame::Message(message) => self.messages.push((**message).clone()),
            _ => {}
        }
        Ok(frame)
    }

    /// Watches these, and takes the answer.
    pub async fn watch(&mut self, users: &[UserId]) -> anyhow::Result<Result<Vec<UserPresence>, WireError>> {
        let wanted = new_id().to_string();
        self.socket
            .send(&json!({"type": "watch", "id": wanted, "users": users}))
            .await?;
        loop {
            match self.next().await? {
                ServerFrame::Presence { id: Some(id), users } if id == wanted => {
                    self.told = users.iter().map(|one| (one.user, *one)).collect();
                    return Ok(Ok(users));
                }
                ServerFrame::Error { id: Some(id), error } if id == wanted => return Ok(Err(error)),
                _ => {}
            }
        }
    }

    pub fn state(&self, user: &User) -> Option<ShownState> {
        self.told.get(&user.id).map(|told| told.state)
    }

    /// Reads on until somebody is shown like this.
    pub async fn sees(&mut self, user: &User, state: ShownState) -> anyhow::Result<()> {
        while self.state(user) != Some(state) {
            let now = self.state(user);
            self.next()
                .await
                .with_context(|| format!("waiting for {state:?}, now {now:?}"))?;
        }
        Ok(())
    }

    /// Everything that was sent before now.
    pub async fn catch_up(&mut self) -> anyhow::Result<()> {
        let wanted = new_id().to_string();
        self.socket.send(&json!({"type": "ping", "id": wanted})).await?;
        let pong = ServerFrame::Pong { id: Some(wanted) };
        while self.next().await? != pong {}
        Ok(())
    }
}
