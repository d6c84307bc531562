//! What a session asks its actor to do, and what it knows of itself.

use std::collections::BTreeMap;

use axum::extract::ws::Utf8Bytes;
use natterjack_nats::{
    Conversation, EdgeId, SessionId, Shards, UserId,
    wire::{CloseCode, HelloDevice, HistoryQuery, ServerFrame},
};

use crate::{auth::Identity, ops::send::Draft};

/// What the actor is to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a frame.
    Write(ServerFrame),
    /// Write a ready-made frame.
    WriteText(Utf8Bytes),
    /// Send a WebSocket ping.
    Ping,
    /// Check the token, then call [`Machine::authenticated`].
    Authenticate {
        /// The token.
        token: String,
        /// What the client says about its device.
        device: Option<HelloDevice>,
    },
    /// Open the session, then call [`Machine::opened`].
    Open {
        /// Whose.
        identity: Identity,
        /// The client's cursors, if it was here before.
        resume: Option<BTreeMap<Conversation, u64>>,
    },
    /// Store, in the order of these effects, then call [`Machine::stored`].
    Store(Draft),
    /// Note a receipt, then call [`Machine::signalled`].
    Receipt {
        /// Where.
        conversation: Conversation,
        /// Highest sequence that arrived.
        delivered: Option<u64>,
        /// Highest sequence that was read.
        read: Option<u64>,
        /// Whether the app was in the foreground then.
        foreground: bool,
    },
    /// Tell the others, then call [`Machine::signalled`].
    Typing {
        /// Where.
        conversation: Conversation,
        /// Whether.
        active: bool,
    },
    /// Read a page for the client, then call [`Machine::page`].
    Page {
        /// Of the request.
        id: String,
        /// Which.
        query: HistoryQuery,
    },
    /// Read a page of the list, then call [`Machine::list`].
    List {
        /// Of the request.
        id: String,
        /// Which.
        page: Option<String>,
    },
    /// Watch these people, then call [`Machine::watched`].
    Watch {
        /// Of the request.
        id: String,
        /// All of them.
        users: Vec<UserId>,
    },
    /// Tell what did not fit into the session's queue.
    CatchUp,
    /// Check a fresh token, then call [`Machine::renewed`].
    Renew {
        /// Of the request.
        id: String,
        /// The token.
        token: String,
    },
    /// The session goes on under this identity.
    Renewed(Identity),
    /// Read what follows a sequence, then call [`Machine::fetched`].
    Fetch {
        /// Of which conversation.
        conversation: Conversation,
        /// After which sequence.
        after: u64,
    },
    /// Call [`Machine::retry`] after a pause.
    Pause {
        /// For which conversation.
        conversation: Conversation,
        /// How long, without jitter.
        ms: u64,
    },
    /// The session is live, with the app in the foreground or not: heads are to be compared shortly.
    Live {
        /// Whether.
        active: bool,
    },
    /// The app comes to the foreground, or leaves it.
    Active(bool),
    /// Close.
    Close(CloseCode),
}

/// What a session says of itself in `ready`, and its limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// This session.
    pub session: SessionId,
    /// The edge that holds it.
    pub edge: EdgeId,
    /// How conversations map to streams.
    pub shards: Shards,
    /// How often the session is pinged.
    pub ping_interval_ms: u64,
    /// Until when it must say hello.
    pub hello_timeout_ms: u64,
    /// Most sends that wait for their ack.
    pub sends_in_flight: usize,
    /// Shortest time between equal typing frames.
    pub typing_interval_ms: u64,
}

/// What a client is told when its edge drains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draining {
    /// Where to go, the best first.
    pub edges: Vec<String>,
    /// Within which time all sessions go.
    pub within_ms: u64,
    /// After which time this one does.
    pub after_ms: u64,
}

/// The time, as the actor reads it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Milliseconds since the session began, never set back.
    pub session_ms: u64,
    /// Unix milliseconds.
    pub unix_ms: u64,
}
