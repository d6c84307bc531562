//! What a consumer is told of what it delivered.

use std::time::{Duration, Instant};

use async_nats::{
    Client, RequestErrorKind,
    jetstream::{self, AckKind},
};
use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use super::{job::NoJob, store::StoreError};
use crate::trace::TraceError;

/// How often an ack that nobody listens for is sent again: for 5 s.
const CONFIRM_TRIES: u32 = 20;
/// The pause before that.
const CONFIRM_PAUSE: Duration = Duration::from_millis(250);

/// How often a consumer is told that something is still worked on.
const PROGRESS: Duration = Duration::from_secs(3);

/// Why a push could not be settled: it comes again.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// Something was not read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not told.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// It may come again.
    #[error("NATS did not confirm an ack: {0}")]
    Ack(String),
}

/// Ends what is no job.
pub async fn no_job(message: &jetstream::Message, why: &NoJob) {
    if *why == NoJob::Unknown {
        tracing::error!(subject = %message.subject, "an entry in the bucket pushes is none; ignoring it");
    }
    answer(message, AckKind::Ack).await;
}

/// Acks, and waits until NATS says so: it does not come again.
///
/// While a consumer changes its leader nobody listens for its acks: that is tried again for a moment. (The
/// library's own `double_ack` takes the server's word that nobody listens for a confirmation.)
pub async fn confirm(client: &Client, message: &jetstream::Message) -> Result<(), Unsettled> {
    let reply = message.reply.clone();
    let reply = reply.ok_or_else(|| Unsettled::Ack("it was not delivered by a consumer".into()))?;
    let mut tries = 0;
    loop {
        let request = client.request(reply.clone(), Bytes::from(AckKind::Ack)).await;
        match request {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == RequestErrorKind::NoResponders && tries < CONFIRM_TRIES => {
                tries += 1;
                tokio::time::sleep(CONFIRM_PAUSE).await;
            }
            Err(error) => return Err(Unsettled::Ack(error.to_string())),
        }
    }
}

/// Does work that may take longer than the consumer waits for an ack, and has it wait from time to time: the
/// message, which came at `fetched`, would be given to another process as well, and be pushed twice.
pub async fn keeping<T>(message: &jetstream::Message, fetched: Instant, work: impl Future<Output = T>) -> T {
    let mut progress = tokio::time::interval_at((fetched + PROGRESS).into(), PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = progress.tick() => answer(message, AckKind::Progress).await,
        }
    }
}

/// Tells the consumer what became of a message, without waiting.
pub async fn answer(message: &jetstream::Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        // It comes again by itself.
        tracing::debug!(%error, "a push could not be answered");
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::Config;
    use futures::StreamExt as _;
    use natterjack_runtime::servers::{NatsConfig, NatsServer, StderrProgress, Tools, testing_tools_dir};

    use super::*;

    #[tokio::test]
    async fn nobody_listening_is_no_confirmation() {
        let dir = tempfile::tempdir().expect("a directory");
        let tools = Tools::locate_or_install(&testing_tools_dir(), &StderrProgress).await;
        let tools = tools.expect("nats-server");
        let nats = NatsServer::start(&tools, NatsConfig::new(dir.path())).await;
        let nats = nats.expect("it starts");
        let client = async_nats::connect(nats.url()).await.expect("a connection");
        let context = jetstream::new(client.clone());
        let stream = context.create_stream(Config {
            name: "S".into(),
            subjects: vec!["s".into()],
            ..Config::default()
        });
        let stream = stream.await.expect("a stream");
        for _ in 0..2 {
            let sent = context.publish("s", "x".into()).await.expect("sent");
            sent.await.expect("stored");
        }
        let config = jetstream::consumer::pull::Config {
            durable_name: Some("c".into()),
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.expect("a consumer");
        let mut messages = consumer.fetch().max_messages(2).messages().await.expect("a pull");
        let mut next = async || messages.next().await.expect("one").expect("a message");
        let (first, second) = (next().await, next().await);
        confirm(&client, &first).await.expect("it is confirmed");
        stream.delete_consumer("c").await.expect("it is deleted");
        let lost = confirm(&client, &second).await;
        assert!(matches!(lost, Err(Unsettled::Ack(_))), "{lost:?}");
    }
}
