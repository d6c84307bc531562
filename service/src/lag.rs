//! How far a durable consumer is behind, as metrics: each role tells of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use async_nats::jetstream::consumer::Info;
use natterjack_runtime::metrics::Metrics;
use prometheus_client::metrics::{family::Family, gauge::Gauge};

type Label = [(&'static str, String); 2];

/// The lag of a role's consumers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lag {
    pending: Family<Label, Gauge>,
    unacked: Family<Label, Gauge>,
    redelivered: Family<Label, Gauge>,
    stalled: Family<Label, Gauge>,
    floors: Arc<Mutex<HashMap<Label, Floor>>>,
}

/// An ack floor, and since when something waits above it while it stands still.
#[derive(Debug)]
struct Floor {
    seq: u64,
    since: Option<Instant>,
}

impl Lag {
    /// Registers them, once a role.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let family = |name: &str, help: &str| metrics.register(name, help, Family::<Label, Gauge>::default());
        let lag = Self {
            pending: family(
                "consumer_pending",
                "Messages that a consumer has not delivered yet",
            ),
            unacked: family(
                "consumer_unacked",
                "Messages that were delivered and are not done: under way, or put off",
            ),
            redelivered: family("consumer_redelivered", "Of those, such as were delivered before"),
            stalled: family(
                "consumer_stalled_seconds",
                "For how long something has waited while the ack floor stood still",
            ),
            floors: Arc::default(),
        };
        let look = lag.clone();
        metrics.before_encoding(move || look.measure());
        lag
    }

    /// What the server says of a consumer now.
    pub fn saw(&self, info: &Info) {
        let label = [
            ("stream", info.stream_name.clone()),
            ("consumer", info.name.clone()),
        ];
        let set = |family: &Family<Label, Gauge>, value: u64| {
            family
                .get_or_create(&label)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.pending, info.num_pending);
        set(&self.unacked, info.num_ack_pending as u64);
        set(&self.redelivered, info.num_redelivered as u64);
        let waits = info.num_pending > 0 || info.num_ack_pending > 0;
        let seq = info.ack_floor.stream_sequence;
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = floors.entry(label).or_insert(Floor { seq, since: None });
        if floor.seq != seq || !waits {
            *floor = Floor { seq, since: None };
        }
        if waits && floor.since.is_none() {
            floor.since = Some(Instant::now());
        }
    }

    fn measure(&self) {
        let floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        for (label, floor) in floors.iter() {
            let seconds = floor.since.map_or(0, |since| since.elapsed().as_secs());
            self.stalled
                .get_or_create(label)
                .set(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
    }
}
