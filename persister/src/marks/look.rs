//! What a stream and its consumer say of themselves.

use async_nats::jetstream::{Context, stream};
use natterjack_nats::{Shard, topology};

/// A stream, or the persister's consumer on it, does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{stream} does not say how far it is: {why}. Is the cluster provisioned?")]
pub struct LookError {
    stream: String,
    why: String,
}

/// One look.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its name.
    pub name: String,
    /// As it is set up.
    pub config: stream::Config,
    /// Whether it is a chat stream that takes no messages.
    pub closed: bool,
    /// The first sequence that it has; one beyond the last, if it has none.
    pub first: u64,
    /// The last sequence that it gave.
    pub last: u64,
    /// Up to here the consumer has acked everything.
    pub floor: u64,
    /// Up to here the consumer has handed everything out. What lies above the floor may be acked too, since
    /// each of several persisters acks as it gets done.
    pub delivered: u64,
    /// Whether the consumer has read and acked everything that is there.
    pub read: bool,
}

impl Look {
    /// Asks for the consumer before the stream, so that `last` is never below `floor` on one server.
    ///
    /// # Errors
    /// One of them does not answer.
    pub async fn at(context: &Context, shard: Option<Shard>, name: String) -> Result<Self, LookError> {
        let failed = |why: &dyn std::fmt::Display| LookError {
            stream: name.clone(),
            why: why.to_string(),
        };
        let stream = context
            .get_stream_no_info(&name)
            .await
            .map_err(|error| failed(&error))?;
        let consumer = stream
            .consumer_info(topology::PERSISTER)
            .await
            .map_err(|error| failed(&error))?;
        let info = stream.get_info().await.map_err(|error| failed(&error))?;
        let (config, state) = (info.config, info.state);
        Ok(Self {
            closed: shard.is_some_and(|shard| topology::is_closed(shard, &config)),
            config,
            first: state.first_sequence,
            last: state.last_sequence,
            floor: consumer.ack_floor.stream_sequence,
            delivered: consumer
                .delivered
                .stream_sequence
                .max(consumer.ack_floor.stream_sequence),
            read: consumer.num_pending == 0 && consumer.num_ack_pending == 0,
            name,
        })
    }
}
