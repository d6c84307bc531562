//! What every part of an edge shares.

use std::{sync::Arc, time::Duration};

use natterjack_nats::{EdgeId, Shards};
use natterjack_runtime::{clock::Clock, health::Health, lifecycle::Tasks, metrics::Metrics, trace::Tracer};
use tokio::sync::Semaphore;

use crate::{
    args::Args,
    auth::Auth,
    connections::Connections,
    http::RateLimits,
    live::Hub,
    metrics::EdgeMetrics,
    ops::{
        push::PushTargets,
        send::{Peers, Window},
    },
    page::Page,
    presence::{Discovery, Drain, Leave, Sessions},
    receipts::Receipts,
    socket::Admission,
};

/// How long a call of a service may take before its outcome counts as unknown.
pub const SERVICE_TIMEOUT: Duration = Duration::from_secs(5);

/// One running edge; the state of its routes, as `Arc<App>`.
#[derive(Debug)]
pub struct App {
    /// What the operator chose.
    pub args: Args,
    /// This edge.
    pub edge: EdgeId,
    /// How conversations map to streams.
    pub shards: Shards,
    /// How far the streams' own memory of message ids reaches.
    pub window: Window,
    /// The time.
    pub clock: Clock,
    /// The ways to NATS.
    pub nats: Connections,
    /// Who is let in.
    pub auth: Auth,
    /// How often anything may be asked for.
    pub limits: RateLimits,
    /// One permit for each connection that may be open, WebSockets included.
    pub slots: Arc<Semaphore>,
    /// How many sessions open at a time.
    pub admission: Arc<Admission>,
    /// Who is connected here, and what they hear.
    pub hub: Hub,
    /// Which edges take connections.
    pub discovery: Discovery,
    /// Whether this edge takes connections.
    pub drain: Drain,
    /// Devices that are connected here, as the bucket `sessions` says.
    pub sessions: Sessions,
    /// The way to give the lease up.
    pub leave: Leave,
    /// Receipts on their way out.
    pub receipts: Receipts,
    /// Users known to exist.
    pub peers: Peers,
    /// Where devices may be pushed.
    pub push_targets: PushTargets,
    /// The web client.
    pub page: Page,
    /// What is counted.
    pub metrics: EdgeMetrics,
    /// All metrics of this edge, for `/metrics`.
    pub registry: Metrics,
    /// Makes the spans of what is traced.
    pub tracer: Tracer,
    /// For `/readyz`.
    pub health: Health,
    /// The tasks of this edge.
    pub tasks: Tasks,
}

impl App {
    /// Whether clients reach this edge by TLS, as far as is known here.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.args.tls.tls_cert.is_some() || self.args.place.is_https()
    }
}

/// An [`App`] as routes and sessions hold it.
pub type SharedApp = Arc<App>;
