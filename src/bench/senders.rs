//! The load of `bench send`: clients that send over WebSockets.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use natterjack_client::{Account, Client, Event, Events};
use natterjack_nats::{Conversation, MessageId};
use tokio::{sync::mpsc, time::timeout};

use super::stage::{Stage, Tally};

/// How long a client may take to connect, and the last acks of a window to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connected client with the conversations that it writes to in turn.
pub struct Sender {
    client: Client,
    events: Events,
    conversations: Vec<Conversation>,
    next: usize,
    begun: HashMap<MessageId, Instant>,
}

impl Sender {
    /// Connects, and waits until it stands.
    ///
    /// # Errors
    /// It does not.
    pub async fn connect(account: &Account, conversations: Vec<Conversation>) -> anyhow::Result<Self> {
        let mut config = account.config();
        // It is measured on the edge that was chosen.
        config.discovery = false;
        // All of a client's sends may be under way at once, whatever their conversation.
        config.pipeline = usize::MAX;
        config.outbox_messages_max = 65_536;
        config.events_max = 4_096;
        let (client, mut events) = Client::connect(config)?;
        let ready = async {
            while let Some(event) = events.next().await {
                match event {
                    Event::Ready(_) => return Ok(()),
                    Event::Stopped(reason) => bail!("a client was turned away: {reason}"),
                    _ => {}
                }
            }
            bail!("a client ended before it was connected")
        };
        timeout(PATIENCE, ready)
            .await
            .context("a client did not get connected")??;
        Ok(Self {
            client,
            events,
            conversations,
            next: 0,
            begun: HashMap::new(),
        })
    }

    /// So many in flight all the time.
    ///
    /// # Errors
    /// A message was refused, or an ack did not come.
    pub async fn closed(mut self, in_flight: usize, text: String, stage: Stage) -> anyhow::Result<Tally> {
        let mut tally = Tally::new(&stage)?;
        for _ in 0..in_flight {
            self.send(&text, Instant::now())?;
        }
        while !self.begun.is_empty() {
            let event = timeout(PATIENCE, self.events.next())
                .await
                .context("an ack did not come")?;
            if self.acked(event, &mut tally)? && !stage.is_over() {
                self.send(&text, Instant::now())?;
            }
        }
        self.client.close().await;
        Ok(tally)
    }

    /// Whatever is due, whether or not the last was acked.
    ///
    /// # Errors
    /// As [`Sender::closed`]; or more waits than a client takes.
    pub async fn open(
        mut self,
        mut due: mpsc::Receiver<Instant>,
        text: String,
        stage: Stage,
    ) -> anyhow::Result<Tally> {
        let mut tally = Tally::new(&stage)?;
        let mut paced = true;
        while paced || !self.begun.is_empty() {
            tokio::select! {
                at = due.recv(), if paced => match at {
                    Some(at) => self.send(&text, at)?,
                    None => paced = false,
                },
                event = timeout(PATIENCE, self.events.next()) => {
                    self.acked(event.context("an ack did not come")?, &mut tally)?;
                }
            }
        }
        self.client.close().await;
        Ok(tally)
    }

    fn send(&mut self, text: &str, begun: Instant) -> anyhow::Result<()> {
        let conversation = self.conversations[self.next % self.conversations.len()];
        self.next += 1;
        let id = self
            .client
            .send(conversation, text)
            .context("the client takes no more")?;
        self.begun.insert(id, begun);
        Ok(())
    }

    /// Whether it was an ack.
    fn acked(&mut self, event: Option<Event>, tally: &mut Tally) -> anyhow::Result<bool> {
        match event {
            Some(Event::Acked { id, .. }) => {
                let begun = self.begun.remove(&id).context("an ack came twice")?;
                tally.done(begun.elapsed());
                Ok(true)
            }
            Some(Event::SendFailed { error, .. }) => bail!("a message was refused: {error}"),
            Some(Event::Disconnected { reason, .. }) => bail!("a connection was lost: {reason}"),
            Some(Event::Stopped(reason)) => bail!("a client was turned away: {reason}"),
            Some(_) => Ok(false),
            None => bail!("a client ended"),
        }
    }
}
