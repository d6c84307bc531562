//! Metrics of transactions, by name and outcome.

use std::time::Duration;

use natterjack_runtime::metrics::Metrics;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};

type Labels = [(&'static str, &'static str); 1];

/// Counts and times of transactions.
#[derive(Debug, Clone)]
pub struct Transactions {
    done: Family<[(&'static str, &'static str); 2], Counter>,
    retried: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
}

impl Transactions {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 14));
        Self {
            done: metrics.register("db_transactions", "Transactions", Family::default()),
            retried: metrics.register(
                "db_transaction_retries",
                "Transactions that ran again",
                Family::default(),
            ),
            seconds: metrics.register(
                "db_transaction_seconds",
                "Time of a transaction, retries included",
                Family::new_with_constructor(histogram),
            ),
        }
    }

    /// One is over.
    pub fn done(&self, name: &'static str, outcome: &'static str, took: Duration) {
        self.done
            .get_or_create(&[("name", name), ("outcome", outcome)])
            .inc();
        self.seconds
            .get_or_create(&[("name", name)])
            .observe(took.as_secs_f64());
    }

    /// One is tried again.
    pub fn retried(&self, name: &'static str) {
        self.retried.get_or_create(&[("name", name)]).inc();
    }
}
