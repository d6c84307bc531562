//! From the streams into Postgres: batches of messages, each batch one transaction, acked after
//! its commit.
//!
//! What arrives is written by a [`Sink`] (messages, receipts); what cannot be written is bisected
//! out of its batch and kept as a dead letter. While Postgres is away nothing is acked, and what
//! is held stays within one batch and one pull.

mod apply;
pub(crate) mod dead_letters;
pub(crate) mod decode;
pub(crate) mod messages;
mod metrics;
mod settle;
mod source;

use std::time::Duration;

use async_nats::jetstream::Context;
use natterjack_nats::topology;
use natterjack_runtime::{health::Health, lifecycle::Tasks, trace::Tracer};
use tokio::sync::watch;

use crate::{Args, Shared, failure::Failure, receipts::Receipts};
pub use decode::Poison;
use messages::Messages;
pub(crate) use metrics::IngestMetrics;
use settle::Settle;
use source::{Limits, Source};

/// Where a kind of stored message goes.
pub trait Sink: Send + Sync + 'static {
    /// One message, decoded.
    type Item: Send + Sync;

    /// Decodes and checks a message; an error makes it a dead letter, and `None` is not kept at all.
    ///
    /// # Errors
    /// [`Poison`] says what is wrong with it.
    fn decode(&self, subject: &str, seq: u64, payload: &[u8]) -> Result<Option<Self::Item>, Poison>;

    /// Writes all of them in one transaction. The same item may come again, now or later.
    fn write(&self, items: &[Self::Item]) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Where stored messages come from.
pub struct Intake {
    /// JetStream, over a connection of its own.
    pub jetstream: Context,
    /// Counts how often that connection broke.
    pub broken: watch::Receiver<u64>,
}

/// Starts a task per shard, and one for the receipts.
pub fn start(
    args: &Args,
    shared: &Shared,
    intake: &Intake,
    metrics: &IngestMetrics,
    health: &Health,
    tasks: &Tasks,
) {
    let settle = |stream: String, metrics: &IngestMetrics| Settle {
        stream,
        db: shared.db.clone(),
        clock: shared.clock.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
        shutdown: tasks.shutdown().clone(),
        tracer: Tracer::installed(),
    };
    let limits = Limits {
        messages: args.ingest_batch_max.into(),
        bytes: args.ingest_bytes_max,
        age: Duration::from_millis(args.ingest_age_ms),
    };
    for shard in shared.shards.all() {
        let sink = Messages::new(shared, shard, metrics.clone());
        spawn(
            sink,
            settle(topology::chat_stream(shard), metrics),
            intake,
            limits,
            tasks,
        );
    }
    let receipts = settle(topology::RECEIPTS.into(), metrics);
    spawn(Receipts::new(shared), receipts, intake, limits, tasks);
}

fn spawn(sink: impl Sink, settle: Settle, intake: &Intake, limits: Limits, tasks: &Tasks) {
    settle.metrics.reads(&settle.stream);
    let shutdown = tasks.shutdown().clone();
    let mut source = Source::new(
        intake.jetstream.clone(),
        settle.stream.clone(),
        limits,
        shutdown.clone(),
        intake.broken.clone(),
    );
    tasks.spawn(format!("ingest.{}", settle.stream), async move {
        let work = async {
            while let Some(batch) = source.next().await {
                settle.batch(&sink, batch).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.killed() => {}
        }
        Ok(())
    });
}
