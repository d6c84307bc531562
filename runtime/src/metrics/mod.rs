//! Metrics of one role, in a registry that is passed in rather than global,
//! so that several roles in one process do not mix their numbers.
//!
//! Every metric is a row of docs/metrics.md, which a test compares with what the roles export.

mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use prometheus_client::registry::{Metric, Registry};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What all names begin with.
const PREFIX: &str = "natterjack";

/// A shared registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    names: Arc<Mutex<BTreeMap<String, String>>>,
    looks: Looks,
}

/// What is looked at when somebody asks for the metrics, and not before.
#[derive(Clone, Default)]
struct Looks(Arc<Mutex<Vec<Look>>>);

type Look = Arc<dyn Fn() + Send + Sync>;

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looks").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A registry whose metrics begin with `natterjack_` and carry `role="…"`; it holds what is said of every
    /// process.
    pub fn new(role: &str) -> Self {
        let labels = [("role".into(), role.to_owned().into())];
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix_and_labels(
                PREFIX,
                labels.into_iter(),
            ))),
            names: Arc::default(),
            looks: Looks::default(),
        };
        let build: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        metrics.register("build_info", "1, with the version that runs", build);
        process::register(&metrics);
        metrics
    }

    /// Registers a metric and hands it back, so that it can be kept where it is counted.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let kind = metric.metric_type().as_str().to_owned();
        self.names().insert(format!("{PREFIX}_{name}"), kind);
        self.lock().register(name, help, metric.clone());
        metric
    }

    /// All metrics with their types, also those of which there is no series yet.
    pub fn registered(&self) -> BTreeMap<String, String> {
        self.names().clone()
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `look` each time before the metrics are told, for numbers that are kept elsewhere. It must not
    /// wait.
    pub fn before_encoding(&self, look: impl Fn() + Send + Sync + 'static) {
        self.looks().push(Arc::new(look));
    }

    fn looks(&self) -> MutexGuard<'_, Vec<Look>> {
        self.looks.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let looks = self.looks().clone();
        looks.iter().for_each(|look| look());
        let mut out = String::new();
        if let Err(error) = text::encode(&mut out, &self.lock()) {
            // Writing into a String fails only if a metric's own encoder does.
            tracing::error!(%error, "could not encode the metrics");
        }
        out
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic elsewhere leaves at worst a metric unregistered; numbers go on.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn two_roles_keep_their_numbers_apart() {
        let (edge, persister) = (Metrics::new("edge"), Metrics::new("persister"));
        let sent = edge.register("sent", "Messages sent", Counter::<u64>::default());
        persister.register("sent", "Messages sent", Counter::<u64>::default());
        sent.inc();
        assert!(edge.encode().contains("natterjack_sent_total{role=\"edge\"} 1"));
        assert!(
            persister
                .encode()
                .contains("natterjack_sent_total{role=\"persister\"} 0")
        );
    }

    #[test]
    fn numbers_that_are_kept_elsewhere_are_looked_at() {
        let metrics = Metrics::new("edge");
        let gauge: Gauge = metrics.register("looks", "Looks", Gauge::default());
        metrics.before_encoding(move || {
            gauge.inc();
        });
        assert!(metrics.encode().contains("natterjack_looks{role=\"edge\"} 1"));
        assert!(metrics.encode().contains("natterjack_looks{role=\"edge\"} 2"));
    }

    #[test]
    fn every_process_says_what_it_is_and_what_it_uses() {
        let text = Metrics::new("edge").encode();
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            text.contains(&format!(
                "natterjack_build_info{{role=\"edge\",version=\"{version}\"}} 1"
            )),
            "{text}"
        );
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(name)).expect(name);
            line.rsplit(' ')
                .next()
                .expect("a value")
                .parse()
                .expect("a number")
        };
        assert!(value("natterjack_process_start_time_seconds{") > 1.6e9);
        if cfg!(target_os = "linux") {
            assert!(value("natterjack_process_resident_memory_bytes{") > 100_000.0);
            assert!(value("natterjack_process_open_files{") >= 3.0);
            assert!(value("natterjack_process_open_files_max{") >= 3.0);
        }
    }
}
