//! What an edge counts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use natterjack_nats::wire::{Code, WireError};
use natterjack_runtime::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};

/// How long a peak is told of at least: longer than Prometheus takes from one look to the next.
const PEAK_TIME: Duration = Duration::from_secs(60);

/// What came of a request whose client was gone before the answer.
pub const GONE: &str = "gone";

/// One label, whose values are few and fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct What {
    /// The value.
    pub what: &'static str,
}

/// A counter for each value of one label.
pub type Counters = Family<What, Counter>;

/// The numbers of one edge; cheap to clone.
#[derive(Debug, Clone)]
pub struct EdgeMetrics {
    /// Sockets that are open.
    pub sockets: Gauge,
    /// Users with a socket here.
    pub users: Gauge,
    /// Groups with a member here.
    pub groups: Gauge,
    /// Frames from clients, by type.
    pub frames_in: Counters,
    /// Frames to clients, by where they come from.
    pub frames_out: Counters,
    /// Sockets that were closed, by reason.
    pub closed: Counters,
    /// Sends, by outcome: `ok`, `duplicate`, or the error's code.
    pub sends: Counters,
    /// Refusals about which a stream was asked: `stored` before any try of the message, or it had
    /// the `message` or its `void` already, or it did not decide (`failed`).
    pub voids: Counters,
    /// From the hand-over to NATS to its ack, in seconds.
    pub ack_seconds: Histogram,
    /// Live messages and ephemeral frames: heard for a `user` or a `group`, or `dropped` for one
    /// session because its queue was full.
    pub live: Counters,
    /// Users whose presence is watched by a session here.
    pub watched_users: Gauge,
    /// Sessions that watch others' presence.
    pub watching: Gauge,
    /// Changes of presence that were `heard`, frames of it that sessions were `told`, and such as were
    /// `put_off` because a session's queue was full.
    pub presence: Counters,
    /// Gaps in the live tail that were closed from history, by outcome.
    pub repairs: Counters,
    /// Frames that waited for a socket when it was written to.
    pub queue_depth: Histogram,
    /// Batches of receipts that were published.
    pub receipt_batches: Counter,
    /// Requests for the web client's files: `sent`, `unchanged`, `missing`, or the page is `absent`.
    pub page: Counters,
    /// Writes of device sessions: `put`, `purge` or `failed`.
    pub session_writes: Counters,
    /// What sessions ask for and wait for, in seconds, by what it is.
    pub asked_seconds: Family<What, Histogram>,
    /// HTTP requests, by route and class of status.
    requests: Family<[(&'static str, String); 2], Counter>,
    /// The same in seconds, by route.
    request_seconds: Family<[(&'static str, String); 1], Histogram>,
    /// The most bytes that waited for one socket for a while.
    pub queue_peak: Peak,
}

/// The highest of values for a while, whoever asks for it and however often; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Peak(Arc<Highest>);

#[derive(Debug, Default)]
struct Highest {
    now: AtomicU64,
    before: Mutex<Before>,
}

/// What was the highest before, and until when.
#[derive(Debug, Default)]
struct Before {
    value: u64,
    until: Option<Instant>,
}

impl Peak {
    /// One of the values. It costs a look, unless it is higher than those before.
    pub fn saw(&self, value: usize) {
        let value = value as u64;
        if value > self.0.now.load(Ordering::Relaxed) {
            self.0.now.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// The highest since `PEAK_TIME` at least, and for twice that at most where somebody asks.
    fn highest(&self, at: Instant) -> u64 {
        let mut before = self.0.before.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *before.until.get_or_insert(at);
        if at.saturating_duration_since(until) >= PEAK_TIME {
            *before = Before {
                value: self.0.now.swap(0, Ordering::Relaxed),
                until: Some(at),
            };
        }
        before.value.max(self.0.now.load(Ordering::Relaxed))
    }
}

impl EdgeMetrics {
    /// All of them, registered.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let counters = |name: &str, help: &str| metrics.register(name, help, Counters::default());
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let queue_peak = Peak::default();
        let (peak, highest) = (
            metrics.register(
                "queue_peak_bytes",
                "The most bytes that waited for one socket within the last minute or two",
                Gauge::<i64>::default(),
            ),
            queue_peak.clone(),
        );
        metrics.before_encoding(move || {
            peak.set(i64::try_from(highest.highest(Instant::now())).unwrap_or(i64::MAX));
        });
        Self {
            sockets: metrics.register("sockets", "Sockets that are open", Gauge::default()),
            users: metrics.register("local_users", "Users with a socket here", Gauge::default()),
            groups: metrics.register("local_groups", "Groups with a member here", Gauge::default()),
            frames_in: counters("frames_in", "Frames from clients, by type"),
            frames_out: counters("frames_out", "Frames to clients, by source"),
            closed: counters("sockets_closed", "Sockets that were closed, by reason"),
            sends: counters("sends", "Sends, by outcome"),
            voids: counters(
                "voids",
                "Refusals about which a stream was asked, by what it had under the id",
            ),
            ack_seconds: metrics.register(
                "ack_seconds",
                "From the hand-over to NATS to its ack",
                Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            ),
            live: counters(
                "live",
                "Live frames heard for users and groups, or dropped for one session",
            ),
            watched_users: metrics.register(
                "watched_users",
                "Users whose presence is watched by a session here",
                Gauge::default(),
            ),
            watching: metrics.register(
                "watching_sessions",
                "Sessions that watch the presence of others",
                Gauge::default(),
            ),
            presence: counters(
                "presence",
                "Changes of presence that were heard, and frames of it that were told or put off",
            ),
            repairs: counters(
                "repairs",
                "Gaps in the live tail that were closed from history, by outcome",
            ),
            queue_depth: metrics.register(
                "queue_depth",
                "Frames that waited for a socket when it was written to",
                Histogram::new(exponential_buckets(1.0, 4.0, 7)),
            ),
            receipt_batches: metrics.register(
                "receipt_batches",
                "Batches of receipts that were published",
                Counter::default(),
            ),
            page: counters("page_requests", "Requests for the web client's files, by outcome"),
            session_writes: counters("session_writes", "Writes of device sessions, by outcome"),
            asked_seconds: metrics.register(
                "asked_seconds",
                "Time to answer what a session asks for, by what it is",
                Family::new_with_constructor(seconds),
            ),
            requests: metrics.register(
                "http_requests",
                "HTTP requests, by route and class of status",
                Family::default(),
            ),
            request_seconds: metrics.register(
                "http_request_seconds",
                "Time to answer an HTTP request, by route",
                Family::new_with_constructor(seconds),
            ),
            queue_peak,
        }
    }

    /// Counts the outcome of a send.
    pub fn sent(&self, outcome: &Result<u64, WireError>) {
        let what = outcome
            .as_ref()
            .map_or_else(|error| error.code.as_str(), |_| "ok");
        self.sends.count(what);
    }

    /// Counts an HTTP request; `route` is the pattern of its path, and without a status the client was gone
    /// before the answer.
    pub fn requested(&self, route: &str, status: Option<u16>, took: Duration) {
        let class = match status {
            None => GONE,
            Some(0..200) => "1xx",
            Some(200..300) => "2xx",
            Some(300..400) => "3xx",
            Some(400..500) => "4xx",
            Some(_) => "5xx",
        };
        self.request_seconds
            .get_or_create(&[("route", route.to_owned())])
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&[("route", route.to_owned()), ("status", class.to_owned())])
            .inc();
    }

    /// Counts an error that a session was told.
    pub fn refused(&self, code: Code) {
        self.frames_out.count(match code {
            Code::Internal => "internal_error",
            _ => "error",
        });
    }
}

/// Counting by label in one word.
pub trait Count {
    /// One more.
    fn count(&self, what: &'static str);
    /// So many more.
    fn count_by(&self, what: &'static str, by: u64);
}

impl Count for Counters {
    fn count(&self, what: &'static str) {
        self.count_by(what, 1);
    }

    fn count_by(&self, what: &'static str, by: u64) {
        self.get_or_create(&What { what }).inc_by(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_told_for_a_while_whoever_asks() {
        let (peak, start) = (Peak::default(), Instant::now());
        peak.saw(7);
        // However often somebody asks meanwhile.
        for seconds in 0..60 {
            assert_eq!(peak.highest(start + Duration::from_secs(seconds)), 7);
        }
        peak.saw(3);
        assert_eq!(peak.highest(start + PEAK_TIME), 7);
        assert_eq!(peak.highest(start + PEAK_TIME * 2), 0, "it is long ago");
    }

    #[test]
    fn outcomes_are_labels() {
        let registry = Metrics::new("edge");
        let metrics = EdgeMetrics::register(&registry);
        metrics.sent(&Ok(1));
        metrics.sent(&Err(WireError::new(Code::Conflict, "")));
        let text = registry.encode();
        assert!(
            text.contains("natterjack_sends_total{role=\"edge\",what=\"conflict\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("natterjack_sends_total{role=\"edge\",what=\"ok\"} 1"),
            "{text}"
        );
    }
}
