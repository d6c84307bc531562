//! Metrics of writing.

use std::time::Duration;

use natterjack_runtime::metrics::Metrics;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};

/// What is counted while writing.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    size: Histogram,
    seconds: Histogram,
    dead_letters: Family<[(&'static str, String); 1], Counter>,
    duplicates: Counter,
}

impl IngestMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            size: metrics.register(
                "ingest_batch_messages",
                "Messages of a batch",
                Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            ),
            seconds: metrics.register(
                "ingest_batch_seconds",
                "Time from a batch's collection to its last ack",
                Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            ),
            dead_letters: metrics.register(
                "dead_letters",
                "Messages that could not be written",
                Family::default(),
            ),
            duplicates: metrics.register(
                "ingest_duplicates",
                "Second copies that slipped past a stream's dedupe window",
                Counter::default(),
            ),
        }
    }

    /// A stream is read from here on. Its count is there from the start, since an alert sees only what rises.
    pub fn reads(&self, stream: &str) {
        self.dead_letters
            .get_or_create(&[("stream", stream.to_owned())])
            .inc_by(0);
    }

    pub fn batch(&self, messages: usize, took: Duration) {
        // A batch is far below 2^32 messages.
        self.size
            .observe(u32::try_from(messages).map_or(f64::MAX, f64::from));
        self.seconds.observe(took.as_secs_f64());
    }

    pub fn dead_letter(&self, stream: &str) {
        self.dead_letters
            .get_or_create(&[("stream", stream.to_owned())])
            .inc();
    }

    pub fn duplicates(&self, count: usize) {
        self.duplicates.inc_by(count as u64);
    }
}
