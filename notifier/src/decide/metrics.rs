//! What deciding counts.

use std::time::Duration;

use natterjack_nats::wire::PushReason;
use natterjack_runtime::metrics::Metrics;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};

/// Counters of one process; cheap to clone.
#[derive(Debug, Clone)]
pub struct DecideMetrics {
    verdicts: Family<[(&'static str, &'static str); 1], Counter>,
    failures: Family<[(&'static str, &'static str); 1], Counter>,
    /// Texts that were decided.
    pub texts: Counter,
    /// Messages that are looked at once more.
    pub put_offs: Counter,
    /// Devices that are to be told of a message.
    pub handed_over: Counter,
    /// Notices that were taken back.
    pub withdrawn: Counter,
    /// Nudges.
    pub nudges: Counter,
    /// Writes to `pushes` that somebody else was faster with.
    pub conflicts: Counter,
    late: Histogram,
    seconds: Histogram,
}

impl DecideMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(name, help, Counter::default());
        let histogram = |name, help, from| {
            metrics.register(name, help, Histogram::new(exponential_buckets(from, 2.0, 16)))
        };
        Self {
            verdicts: metrics.register(
                "push_verdicts",
                "Users of whom it was decided whether a message is pushed, by the reason",
                Family::default(),
            ),
            failures: metrics.register(
                "push_decide_failures",
                "Messages that could not be decided and come again, by what failed",
                Family::default(),
            ),
            texts: counter("push_texts_decided", "Texts that were decided"),
            put_offs: counter("push_put_offs", "Texts that are looked at once more"),
            handed_over: counter("push_handed_over", "Notices that are to be sent"),
            withdrawn: counter("push_withdrawn", "Notices that were taken back"),
            nudges: counter("push_nudges", "Nudges to users who are connected and unconfirmed"),
            conflicts: counter(
                "push_conflicts",
                "Writes that somebody else was faster with, and were worked out again",
            ),
            late: histogram(
                "push_decided_late_seconds",
                "Time from when a text was due to when it was decided",
                0.001,
            ),
            seconds: histogram("push_decide_seconds", "Time to decide a batch of texts", 0.000_5),
        }
    }

    /// Decided for so many users.
    pub fn verdict(&self, reason: PushReason, users: usize) {
        self.verdicts
            .get_or_create(&[("reason", name(reason))])
            .inc_by(users as u64);
    }

    /// So many messages come again because of this.
    pub fn failed(&self, what: &'static str, messages: usize) {
        self.failures
            .get_or_create(&[("what", what)])
            .inc_by(messages as u64);
    }

    /// A text was decided so long after it was due, in milliseconds.
    pub fn late(&self, late_ms: u64) {
        self.late.observe(Duration::from_millis(late_ms).as_secs_f64());
    }

    /// A batch took so long.
    pub fn took(&self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
    }
}

/// As in JSON.
const fn name(reason: PushReason) -> &'static str {
    match reason {
        PushReason::Unconfirmed => "unconfirmed",
        PushReason::Nudged => "nudged",
        PushReason::Confirmed => "confirmed",
        PushReason::Read => "read",
        PushReason::Own => "own",
        PushReason::Muted => "muted",
        PushReason::JoinedLater => "joined_later",
        PushReason::NotRegistered => "not_registered",
        PushReason::Queued => "queued",
        PushReason::NotAText => "not_a_text",
        PushReason::Deleted => "deleted",
        PushReason::TooOld => "too_old",
    }
}
