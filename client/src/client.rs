//! The handle to write with.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use natterjack_nats::{
    Conversation, MessageId, UserId,
    limits::WATCH_USERS_MAX,
    wire::{Content, ConversationSummary, Cursor, HistoryQuery, Page},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    actor::{self, Actor},
    api::Api,
    clock::now_ms,
    config::Config,
    draft::Draft,
    error::{ApiError, QueueError, RequestError},
    event::Events,
    machine::{Command, Reply},
    outbox::Queued,
    socket::Server,
};

/// What an application may hand over, besides messages, before the client has looked at it.
const ORDERS_SPARE: usize = 256;

/// What is written but not yet acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub messages: usize,
    pub bytes: usize,
}

/// What the handle asks of the task that owns the connection.
#[derive(Debug)]
pub(crate) enum Order {
    Do(Command),
    Ask(Question, oneshot::Sender<Result<Reply, RequestError>>),
}

#[derive(Debug)]
pub(crate) enum Question {
    History(HistoryQuery),
    Conversations(Option<String>),
    Cursors,
}

/// One connection of one device, which comes back by itself. Cheap to clone; it ends when the last
/// clone is dropped, or with [`Client::close`].
#[derive(Clone)]
pub struct Client {
    orders: mpsc::Sender<Order>,
    load: Arc<watch::Sender<Load>>,
    limits: Load,
    epoch: Instant,
}

impl Client {
    /// Starts to connect, and stays at it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ApiError::BadAddress`] if a server's address is not one, or if there is none.
    pub fn connect(config: Config) -> Result<(Self, Events), ApiError> {
        for server in &config.servers {
            Server::parse(server)?;
        }
        if config.servers.is_empty() {
            return Err(ApiError::BadAddress(String::new()));
        }
        let api = match &config.api {
            _ if !config.discovery => None,
            Some(api) => Some(api.clone()),
            None => Some(Api::of_servers(&config.servers)?),
        };
        let limits = Load {
            messages: config.outbox_messages_max.max(1),
            bytes: config.outbox_bytes_max,
        };
        let (orders, inbox) = mpsc::channel(limits.messages + ORDERS_SPARE);
        let (event_sender, queue) = mpsc::channel(config.events_max.max(1));
        let client = Self {
            orders,
            load: Arc::new(watch::Sender::new(Load::default())),
            limits,
            epoch: Instant::now(),
        };
        let load = Arc::clone(&client.load);
        let actor = Actor::new(config, api, inbox, event_sender, load, client.epoch);
        tokio::spawn(actor::run(actor));
        Ok((client, Events { queue }))
    }

    /// Queues a text. It is sent as soon as there is a connection, under the id that is returned,
    /// until [`crate::Event::Acked`] or [`crate::Event::SendFailed`] tells what became of it.
    ///
    /// # Errors
    /// If too much waits already, or the client has stopped.
    pub fn send(&self, conversation: Conversation, text: impl Into<String>) -> Result<MessageId, QueueError> {
        self.send_with(Draft::text(conversation, text))
    }

    /// Queues any [`Draft`]; see [`Client::send`].
    ///
    /// # Errors
    /// If too much waits already, the client has stopped, or the draft is an event.
    pub fn send_with(&self, mut draft: Draft) -> Result<MessageId, QueueError> {
        if matches!(draft.content, Content::Event(_)) {
            return Err(QueueError::NotSendable);
        }
        let bytes = draft.sent_text().len();
        let fits = |load: &mut Load| {
            let fits = load.messages == 0
                || (load.messages < self.limits.messages && load.bytes + bytes <= self.limits.bytes);
            if fits {
                load.messages += 1;
                load.bytes += bytes;
            }
            fits
        };
        if !self.load.send_if_modified(fits) {
            return Err(QueueError::Full);
        }
        let made = || MessageId::generate(now_ms());
        let id = *draft.id.get_or_insert_with(made);
        let queued = Queued {
            id,
            draft,
            queued_at: self.epoch.elapsed(),
        };
        let order = Order::Do(Command::Send(queued));
        self.order(order).inspect_err(|_| {
            self.load.send_modify(|load| {
                load.messages -= 1;
                load.bytes -= bytes;
            });
        })?;
        Ok(id)
    }

    /// Queues a new text for one's own message at `target`; see [`Client::send`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn edit(
        &self,
        conversation: Conversation,
        target: u64,
        text: impl Into<String>,
    ) -> Result<MessageId, QueueError> {
        self.send_with(Draft::edit(conversation, target, text))
    }

    /// Queues the deletion of the message at `target`; see [`Client::send`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn delete(&self, conversation: Conversation, target: u64) -> Result<MessageId, QueueError> {
        self.send_with(Draft::delete(conversation, target))
    }

    /// Tells the others that the user is writing, or has stopped. Call it with every key: what is
    /// no news is not sent.
    ///
    /// # Errors
    /// If too much waits already, or the client has stopped.
    pub fn typing(&self, conversation: Conversation, active: bool) -> Result<(), QueueError> {
        self.order(Order::Do(Command::Typing { conversation, active }))
    }

    /// The user has read up to `seq`.
    ///
    /// # Errors
    /// If too much waits already, or the client has stopped.
    pub fn read(&self, conversation: Conversation, seq: u64) -> Result<(), QueueError> {
        let cursor = Cursor {
            delivered: 0,
            read: seq,
        };
        self.order(Order::Do(Command::Receipt { conversation, cursor }))
    }

    /// Everything up to `seq` has arrived; only needed without `confirm_delivery`.
    ///
    /// # Errors
    /// If too much waits already, or the client has stopped.
    pub fn delivered(&self, conversation: Conversation, seq: u64) -> Result<(), QueueError> {
        let cursor = Cursor {
            delivered: seq,
            read: 0,
        };
        self.order(Order::Do(Command::Receipt { conversation, cursor }))
    }

    /// The application is in the foreground from now on, or is not.
    ///
    /// # Errors
    /// If too much waits already, or the client has stopped.
    pub fn set_active(&self, active: bool) -> Result<(), QueueError> {
        self.order(Order::Do(Command::Active(active)))
    }

    /// Shows whether these people are there, all of them each time: [`crate::Event::Presence`] tells.
    /// It holds over reconnects; nobody ends it.
    ///
    /// # Errors
    /// If they are more than a server takes, too much waits already, or the client has stopped.
    pub fn watch(&self, users: impl IntoIterator<Item = UserId>) -> Result<(), QueueError> {
        // In order and once each, so that the same people are no news.
        let users: BTreeSet<_> = users.into_iter().collect();
        if users.len() > WATCH_USERS_MAX {
            return Err(QueueError::TooManyWatched);
        }
        self.order(Order::Do(Command::Watch(users.into_iter().collect())))
    }

    /// A page of history.
    ///
    /// # Errors
    /// If the server refuses, does not answer in time, or the client has stopped.
    pub async fn history(&self, query: HistoryQuery) -> Result<Page, RequestError> {
        match self.ask(Question::History(query)).await? {
            Reply::History(page) => Ok(page),
            Reply::Conversations(..) | Reply::Cursors(_) => Err(RequestError::Stopped),
        }
    }

    /// A page of the conversation list, and what asks for the next one.
    ///
    /// # Errors
    /// If the server refuses, does not answer in time, or the client has stopped.
    pub async fn conversations(
        &self,
        page: Option<String>,
    ) -> Result<(Vec<ConversationSummary>, Option<String>), RequestError> {
        match self.ask(Question::Conversations(page)).await? {
            Reply::Conversations(conversations, next) => Ok((conversations, next)),
            Reply::History(_) | Reply::Cursors(_) => Err(RequestError::Stopped),
        }
    }

    /// The cursor of each conversation, for [`Config::resume`] of the next start: up to there
    /// everything was put into [`Events`]. An application that saves them takes what waits there
    /// first, or a crash between loses it.
    ///
    /// # Errors
    /// If the client has stopped.
    pub async fn cursors(&self) -> Result<BTreeMap<Conversation, u64>, RequestError> {
        match self.ask(Question::Cursors).await? {
            Reply::Cursors(cursors) => Ok(cursors),
            Reply::History(_) | Reply::Conversations(..) => Err(RequestError::Stopped),
        }
    }

    /// How many messages are neither acknowledged nor failed.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.load.borrow().messages
    }

    /// Waits until every message is acknowledged or failed; `false` if that takes longer.
    pub async fn flush(&self, within: Duration) -> bool {
        let mut load = self.load.subscribe();
        let empty = load.wait_for(|load| load.messages == 0);
        tokio::time::timeout(within, empty).await.is_ok()
    }

    /// Ends the connection. What is not acknowledged by then fails; [`Client::flush`] first.
    pub async fn close(&self) {
        if self.orders.send(Order::Do(Command::Close)).await.is_ok() {
            self.orders.closed().await;
        }
    }

    fn order(&self, order: Order) -> Result<(), QueueError> {
        self.orders.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => QueueError::Full,
            mpsc::error::TrySendError::Closed(_) => QueueError::Stopped,
        })
    }

    async fn ask(&self, question: Question) -> Result<Reply, RequestError> {
        let (sender, answer) = oneshot::channel();
        let order = Order::Ask(question, sender);
        self.orders.send(order).await.map_err(|_| RequestError::Stopped)?;
        answer.await.unwrap_or(Err(RequestError::Stopped))
    }
}
