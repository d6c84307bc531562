//! How full the streams of messages are and how many copies of them are complete, as metrics: a full stream
//! refuses sends, and one that has lost a copy survives one loss less.

use std::time::Duration;

use async_nats::jetstream::{consumer::PullConsumer, stream};
use natterjack_nats::topology;
use natterjack_runtime::metrics::Metrics;
use natterjack_service::lag::Lag;
use prometheus_client::metrics::{family::Family, gauge::Gauge};

use crate::Shared;

const INTERVAL: Duration = Duration::from_secs(5);

type ByStream = Family<[(&'static str, String); 1], Gauge>;

/// What is told of each stream.
#[derive(Debug, Clone)]
pub struct StreamMetrics {
    messages: ByStream,
    bytes: ByStream,
    bytes_max: ByStream,
    replicas: ByStream,
    replicas_current: ByStream,
}

impl StreamMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let family = |name: &str, help: &str| metrics.register(name, help, ByStream::default());
        Self {
            messages: family("stream_messages", "Messages that a stream holds"),
            bytes: family("stream_bytes", "Bytes that a stream holds"),
            bytes_max: family("stream_bytes_max", "Bytes at which it refuses more"),
            replicas: family("stream_replicas", "Copies that a stream is to have"),
            replicas_current: family(
                "stream_replicas_current",
                "Copies that are on servers that answer, and complete",
            ),
        }
    }

    fn saw(&self, info: &stream::Info) {
        let set = |family: &ByStream, value: u64| {
            family
                .get_or_create(&[("stream", info.config.name.clone())])
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.messages, info.state.messages);
        set(&self.bytes, info.state.bytes);
        set(&self.bytes_max, u64::try_from(info.config.max_bytes).unwrap_or(0));
        set(&self.replicas, info.config.num_replicas as u64);
        set(&self.replicas_current, current(info) as u64);
    }
}

/// The leader, who answers, and those of its peers that have what it has.
fn current(info: &stream::Info) -> usize {
    let peers = info.cluster.as_ref().map_or(&[][..], |cluster| &cluster.replicas);
    1 + peers.iter().filter(|peer| peer.current && !peer.offline).count()
}

/// Looks again and again, for ever.
pub async fn keep_measuring(shared: Shared, lag: Lag) {
    let metrics = StreamMetrics::new(&shared.metrics);
    let mut failing = false;
    loop {
        match look(&shared, &metrics, &lag).await {
            Ok(()) => failing = false,
            // What else has to do with the streams fails too, and is told there.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::debug!(%error, "the streams cannot be measured");
            }
            Err(_) => {}
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn look(shared: &Shared, metrics: &StreamMetrics, lag: &Lag) -> Result<(), async_nats::Error> {
    for shard in shared.shards.all() {
        let stream = shared.jetstream.get_stream(topology::chat_stream(shard)).await?;
        metrics.saw(stream.cached_info());
    }
    let streams = shared.shards.all().map(topology::chat_stream);
    for stream in streams.chain([topology::RECEIPTS.to_owned()]) {
        let consumer: PullConsumer = shared
            .jetstream
            .get_consumer_from_stream(topology::PERSISTER, stream)
            .await?;
        lag.saw(consumer.cached_info());
    }
    Ok(())
}
