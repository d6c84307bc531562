//! Metrics of transactions, by name and outcome, and of the pools.

use std::time::Duration;

use deadpool_postgres::Pool;
use natterjack_runtime::metrics::Metrics;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    gauge::Gauge,
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

/// Exports what the pools have each time somebody asks: `of` names a pool.
pub fn pools(metrics: &Metrics, pools: [(&'static str, Pool); 2]) {
    let family = |name: &str, help: &str| metrics.register(name, help, Family::<Labels, Gauge>::default());
    let open = family("db_connections", "Connections to Postgres that are open");
    let idle = family("db_connections_idle", "Of those, such as nobody uses");
    let most = family("db_connections_max", "The most there may be");
    let waiting = family("db_waiting", "Transactions that wait for a connection");
    metrics.before_encoding(move || {
        for (name, pool) in &pools {
            let (label, status) = ([("pool", *name)], pool.status());
            for (gauge, value) in [
                (&open, status.size),
                (&idle, status.available),
                (&most, status.max_size),
                (&waiting, status.waiting),
            ] {
                gauge
                    .get_or_create(&label)
                    .set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
    });
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
