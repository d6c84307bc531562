//! What presence counts.

use std::time::Duration;

use natterjack_nats::wire::PresenceState;
use natterjack_runtime::metrics::Metrics;
use natterjack_service::lag::Lag;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};

/// Counters of one process; cheap to clone.
#[derive(Debug, Clone)]
pub struct PresenceMetrics {
    transitions: Family<[(&'static str, &'static str); 2], Counter>,
    /// Looks at a user.
    pub looks: Counter,
    /// Compare-and-sets that somebody else had won.
    pub conflicts: Counter,
    put_offs: Family<[(&'static str, &'static str); 1], Counter>,
    failures: Counter,
    /// How far the consumers are.
    pub lag: Lag,
    sweep_seconds: Histogram,
    /// Sessions that lost their edge.
    pub swept: Counter,
    /// Sessions that no edge stood for.
    pub orphans: Counter,
    /// Edges that hold a lease.
    pub edges: Gauge,
}

impl PresenceMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            transitions: metrics.register(
                "presence_transitions",
                "Changes of a user's state",
                Family::default(),
            ),
            looks: metrics.register("presence_looks", "Looks at a user", Counter::default()),
            conflicts: metrics.register(
                "presence_conflicts",
                "Writes that came second, and were worked out again",
                Counter::default(),
            ),
            put_offs: metrics.register(
                "presence_put_offs",
                "Events that come again later",
                Family::default(),
            ),
            failures: metrics.register(
                "presence_failures",
                "Looks that failed, and are done again",
                Counter::default(),
            ),
            lag: Lag::new(metrics),
            sweep_seconds: metrics.register(
                "presence_sweep_seconds",
                "Time to look at all users of an edge that is gone",
                Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            ),
            swept: metrics.register(
                "presence_sessions_swept",
                "Sessions that were removed because their edge was gone",
                Counter::default(),
            ),
            orphans: metrics.register(
                "presence_sessions_orphaned",
                "Sessions that were removed because no edge stood for them",
                Counter::default(),
            ),
            edges: metrics.register("presence_edges", "Edges that hold a lease", Gauge::default()),
        }
    }

    /// A user's state changed.
    pub fn transition(&self, from: PresenceState, to: PresenceState) {
        self.transitions
            .get_or_create(&[("from", name(from)), ("to", name(to))])
            .inc();
    }

    /// An event comes again later.
    pub fn put_off(&self, why: &'static str) {
        self.put_offs.get_or_create(&[("why", why)]).inc();
    }

    /// A look failed.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// All users of an edge were looked at.
    pub fn sweep(&self, took: Duration) {
        self.sweep_seconds.observe(took.as_secs_f64());
    }
}

const fn name(state: PresenceState) -> &'static str {
    match state {
        PresenceState::Offline => "offline",
        PresenceState::Away => "away",
        PresenceState::Online => "online",
    }
}
