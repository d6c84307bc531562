//! What an application hears.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use natterjack_nats::{
    Conversation, MessageId, UserId,
    wire::{Message, Ready, UserCursor, UserPresence, WireError},
};
use tokio::sync::mpsc;

use crate::error::{SendFailure, StopReason};

/// Something that happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The connection stands: who one is, the limits, the most recent conversations. Comes again
    /// after every reconnect.
    Ready(Box<Ready>),
    /// The connection, or the attempt to make one, is lost; the client comes back by itself.
    Disconnected {
        /// Why, for a person.
        reason: String,
        /// When the next attempt is made.
        retry_in: Duration,
    },
    /// The edge goes away, and the client goes to another one at once: [`Event::Ready`] follows.
    Moving {
        /// Its address.
        to: String,
    },
    /// Whether people are there: first of all those that [`crate::Client::watch`] named, then of whoever
    /// changes. Under load some are left out; the last one counts.
    Presence {
        /// At most one entry a user.
        users: Vec<UserPresence>,
    },
    /// A message of one's own is on disk.
    Acked {
        /// Which.
        id: MessageId,
        /// Where.
        conversation: Conversation,
        /// Its place.
        seq: u64,
        /// Time since the application handed it over.
        latency: Duration,
    },
    /// A message of one's own will not be sent.
    SendFailed {
        /// Which.
        id: MessageId,
        /// Where.
        conversation: Conversation,
        /// Why.
        error: SendFailure,
    },
    /// A message, one's own included, in the order of its conversation and without a hole before
    /// it, unless [`Event::Truncated`] said so.
    Message(Box<Message>),
    /// The server asks whether this arrived, of which it was told or not: say so with
    /// [`crate::Client::delivered`]. Only without `confirm_delivery`.
    Nudged {
        /// Where.
        conversation: Conversation,
        /// Up to here everything was delivered.
        delivered: u64,
    },
    /// Cursors of users moved. Of one's own user: read on another device.
    Receipts {
        /// Where.
        conversation: Conversation,
        /// Whose, and how far.
        cursors: Vec<UserCursor>,
    },
    /// A user is writing, or has stopped; forget it after 6 s.
    Typing {
        /// Where.
        conversation: Conversation,
        /// Who.
        user: UserId,
        /// Whether.
        active: bool,
    },
    /// Between the two sequences there are messages that were not delivered: page them with
    /// [`crate::Client::history`].
    Truncated {
        /// Where.
        conversation: Conversation,
        /// Up to here everything was delivered.
        cursor: u64,
        /// From behind here everything will be.
        head: u64,
    },
    /// All that was missed was delivered or called truncated.
    Resumed {
        /// Whether all conversations were looked at; if not, page the conversation list.
        complete: bool,
    },
    /// The server complained about something that belongs to no request.
    Error(WireError),
    /// The end: the client does not come back by itself. No event follows.
    Stopped(StopReason),
}

/// The events of one [`crate::Client`], a [`Stream`]. Dropping it does not stop the client;
/// events are then discarded.
#[derive(Debug)]
pub struct Events {
    pub(crate) queue: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` once the client has stopped and all events were taken.
    pub async fn next(&mut self) -> Option<Event> {
        self.queue.recv().await
    }

    /// An event that waits already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue.try_recv().ok()
    }
}

impl Stream for Events {
    type Item = Event;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll_recv(context)
    }
}
