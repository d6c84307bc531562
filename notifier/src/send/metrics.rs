//! What pushing counts.

use std::time::Duration;

use natterjack_nats::wire::{Channel, PushOutcome};
use natterjack_runtime::metrics::Metrics;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};

type ByChannel<M> = Family<[(&'static str, &'static str); 1], M>;
type ByChannelAnd<M> = Family<[(&'static str, &'static str); 2], M>;

/// The families of all kinds of push services; cheap to clone.
#[derive(Debug, Clone)]
pub struct SendMetrics {
    outcomes: ByChannelAnd<Counter>,
    put_offs: ByChannelAnd<Counter>,
    seconds: ByChannel<Histogram>,
    in_flight: ByChannel<Gauge>,
    held: ByChannel<Gauge>,
    paused: ByChannel<Gauge>,
    misconfigured: ByChannel<Gauge>,
    failures: ByChannel<Counter>,
}

impl SendMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        Self {
            outcomes: metrics.register(
                "push_outcomes",
                "What became of pushes, and of attempts that are tried again",
                Family::default(),
            ),
            put_offs: metrics.register(
                "push_sends_put_off",
                "Pushes that come again later without having been tried",
                Family::default(),
            ),
            seconds: metrics.register(
                "push_request_seconds",
                "Time that push services take to answer",
                Family::new_with_constructor(histogram),
            ),
            in_flight: metrics.register("push_in_flight", "Pushes under way", Family::default()),
            held: metrics.register(
                "push_held",
                "Pushes under way, or waiting in memory for others",
                Family::default(),
            ),
            paused: metrics.register(
                "push_origins_paused",
                "Push services that are away or asked for patience: nothing is sent there for now",
                Family::default(),
            ),
            misconfigured: metrics.register(
                "push_misconfigured",
                "1 if a push service does not take our pushes as we are set up: the log says what to do",
                Family::default(),
            ),
            failures: metrics.register(
                "push_failures",
                "Pushes that come again because NATS or another part of the server did not answer",
                Family::default(),
            ),
        }
    }

    /// Those of one kind.
    pub fn of(&self, channel: Channel) -> ChannelMetrics {
        let metrics = ChannelMetrics {
            all: self.clone(),
            channel: channel.as_str(),
        };
        // There from the start, so that an alert can be tried, and sees the first that is given up.
        metrics.misconfigured(false);
        metrics
            .all
            .outcomes
            .get_or_create(&[("channel", metrics.channel), ("outcome", "given_up")])
            .inc_by(0);
        metrics
    }
}

/// The metrics of one kind of push service; cheap to clone.
#[derive(Debug, Clone)]
pub struct ChannelMetrics {
    all: SendMetrics,
    channel: &'static str,
}

impl ChannelMetrics {
    fn label(&self) -> [(&'static str, &'static str); 1] {
        [("channel", self.channel)]
    }

    /// A push, or an attempt, came to this.
    pub fn outcome(&self, outcome: PushOutcome) {
        let outcome = match outcome {
            PushOutcome::Accepted => "accepted",
            PushOutcome::Retry => "retry",
            PushOutcome::Gone => "gone",
            PushOutcome::GivenUp => "given_up",
            PushOutcome::Dropped => "dropped",
        };
        let labels = [("channel", self.channel), ("outcome", outcome)];
        self.all.outcomes.get_or_create(&labels).inc();
    }

    /// A push was put off.
    pub fn put_off(&self, why: &'static str) {
        let labels = [("channel", self.channel), ("why", why)];
        self.all.put_offs.get_or_create(&labels).inc();
    }

    /// A push service took so long.
    pub fn took(&self, time: Duration) {
        self.all
            .seconds
            .get_or_create(&self.label())
            .observe(time.as_secs_f64());
    }

    /// Something of ours failed.
    pub fn failed(&self) {
        self.all.failures.get_or_create(&self.label()).inc();
    }

    /// What is held in memory.
    pub fn holds(&self, in_flight: usize, held: usize, paused: usize) {
        set(&self.all.in_flight, self.label(), in_flight);
        set(&self.all.held, self.label(), held);
        set(&self.all.paused, self.label(), paused);
    }

    /// Whether an operator has to mend something.
    pub fn misconfigured(&self, yes: bool) {
        set(&self.all.misconfigured, self.label(), usize::from(yes));
    }
}

fn set(family: &ByChannel<Gauge>, label: [(&'static str, &'static str); 1], value: usize) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    family.get_or_create(&label).set(value);
}
