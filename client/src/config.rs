//! What an application may decide about its connection.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use natterjack_nats::{Conversation, wire::HelloDevice};

use crate::{api::Api, token::TokenSource};

/// How a [`crate::Client`] connects and behaves. [`Config::new`] gives sensible values for all
/// but where to and as whom.
#[derive(Clone)]
pub struct Config {
    /// Edges, such as `http://127.0.0.1:8080` or `https://chat.example.org`. They are tried in
    /// turn; the one that works is kept.
    pub servers: Vec<String>,
    /// Whether those are asked which edges there are, and the best of them is used: before connecting and
    /// after losses. Where nobody answers, `servers` are used. Off: `servers` only.
    pub discovery: bool,
    /// Where this device is, in the words of the server's operator: edges there are preferred.
    pub region: Option<String>,
    /// The HTTP side that is asked; `None` makes one of `servers`. What it learns, its clones know too.
    pub api: Option<Api>,
    /// Where access tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// The device, where the token does not name it.
    pub device: Option<HelloDevice>,
    /// Name and version of the application, for the operator's eyes.
    pub client: String,
    /// The cursors that were saved when this device was here before: all that follows them is
    /// delivered. `None` on a new device: nothing is replayed.
    pub resume: Option<BTreeMap<Conversation, u64>>,
    /// Whether the application starts in the foreground.
    pub active: bool,
    /// Whether what arrived is reported as delivered without the application's doing.
    pub confirm_delivery: bool,
    /// How long receipts are gathered before they are sent.
    pub receipt_delay: Duration,
    /// Most sends of one conversation that wait for their ack at the same time.
    ///
    /// With 1 the order of a conversation's sends holds whatever happens. With more, a send that
    /// the server refuses for the moment (overload, rate limit) is stored after those that were
    /// already on their way behind it; nothing else changes, a broken connection included.
    pub pipeline: usize,
    /// Most messages written but not yet acknowledged; beyond it, sending is refused.
    pub outbox_messages_max: usize,
    /// Most bytes of text written but not yet acknowledged.
    pub outbox_bytes_max: usize,
    /// How many events wait for the application. When they are not taken, the client stops
    /// reading the socket; the server then closes it as slow, and the resume repairs what was
    /// missed: a slow application loses nothing and costs bounded memory.
    pub events_max: usize,
    /// How long the TCP, TLS and WebSocket handshakes may take together.
    pub connect_timeout: Duration,
    /// How long the answer to `hello` may take.
    pub hello_timeout: Duration,
    /// How long an ack may take before the same message is sent again under the same id.
    pub ack_timeout: Duration,
    /// How long the answer to a history request may take, reconnects included.
    pub request_timeout: Duration,
    /// First and longest delay between attempts to connect, and between retries.
    pub backoff_base: Duration,
    /// See `backoff_base`.
    pub backoff_max: Duration,
    /// After how long a connection counts as stable, so that the next loss starts from the first
    /// delay again.
    pub stable_after: Duration,
    /// The source address of the socket; load generators need more than one.
    pub local_addr: Option<IpAddr>,
}

impl Config {
    /// Sensible values for all but where to and as whom.
    #[must_use]
    pub fn new(servers: Vec<String>, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            servers,
            discovery: true,
            region: None,
            api: None,
            tokens,
            device: None,
            client: concat!("natterjack-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            resume: None,
            active: true,
            confirm_delivery: true,
            receipt_delay: Duration::from_millis(200),
            pipeline: 1,
            outbox_messages_max: 1_024,
            outbox_bytes_max: 16 * 1024 * 1024,
            events_max: 256,
            connect_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(15),
            // Beyond the server's own patience with a publish, so that its answer comes first.
            ack_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            backoff_base: Duration::from_millis(200),
            backoff_max: Duration::from_secs(20),
            stable_after: Duration::from_secs(10),
            local_addr: None,
        }
    }
}
