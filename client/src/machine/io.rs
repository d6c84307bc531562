//! What goes into the machine and what comes out.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::{
    Conversation, UserId,
    wire::{ConversationSummary, Cursor, HistoryQuery, Page, ServerFrame},
};

use crate::{
    error::RequestError,
    event::Event,
    outbox::Queued,
    token::{AccessToken, TokenError},
};

/// What happens to the machine.
#[derive(Debug)]
pub(crate) enum Input {
    Start,
    /// The answer to [`Output::FetchToken`].
    Token(Result<AccessToken, TokenError>),
    /// The answer to [`Output::Discover`]: edges, the best first; `None` if nobody could be asked.
    Edges(Option<Vec<String>>),
    /// The socket that [`Output::Connect`] asked for stands.
    Opened,
    /// The socket was closed, broke, or could not be opened.
    Lost {
        code: Option<u16>,
        reason: String,
    },
    /// The server gave a sign of life that is not a frame.
    Heard,
    Frame(ServerFrame),
    Command(Command),
    /// The time of [`super::Machine::deadline`] has come.
    Tick,
}

/// What the application wants.
#[derive(Debug)]
pub(crate) enum Command {
    Send(Queued),
    Typing {
        conversation: Conversation,
        active: bool,
    },
    Receipt {
        conversation: Conversation,
        cursor: Cursor,
    },
    Active(bool),
    Watch(Vec<UserId>),
    History {
        ticket: u64,
        query: HistoryQuery,
    },
    Conversations {
        ticket: u64,
        page: Option<String>,
    },
    Cursors {
        ticket: u64,
    },
    Close,
}

/// What the machine wants.
#[derive(Debug)]
pub(crate) enum Output {
    FetchToken {
        fresh: bool,
    },
    /// Ask which edges there are.
    Discover,
    /// Open a socket to that server.
    Connect {
        server: String,
    },
    Send(natterjack_nats::wire::ClientFrame),
    Emit(Event),
    /// For the question of that ticket.
    Answer {
        ticket: u64,
        answer: Result<Reply, RequestError>,
    },
    /// So many bytes of one message left the outbox.
    Release {
        bytes: usize,
    },
    /// Close the socket, without asking back.
    Close,
}

/// The answer to a question of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    History(Page),
    Conversations(Vec<ConversationSummary>, Option<String>),
    Cursors(BTreeMap<Conversation, u64>),
}

/// The earlier of two times of which either may be absent.
pub(crate) fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
