//! Metrics of one role, in a registry that is passed in rather than global,
//! so that several roles in one process do not mix their numbers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A shared registry; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry whose metrics begin with `natterjack_` and carry `role="…"`.
    pub fn new(role: &str) -> Self {
        let labels = [("role".into(), role.to_owned().into())];
        Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix_and_labels(
                "natterjack",
                labels.into_iter(),
            ))),
        }
    }

    /// Registers a metric and hands it back, so that it can be kept where it is counted.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.lock().register(name, help, metric.clone());
        metric
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
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
}
