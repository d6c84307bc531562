//! The baseline of sends: the same messages, published to the same streams by a bare NATS client.
//!
//! The bytes, the subjects and the `Nats-Msg-Id` are those that an edge would publish, so that the
//! server has the same work, and all of it is in flight through one connection.

use std::time::Instant;

use async_nats::jetstream::{self, context::ContextBuilder, message::PublishMessage};
use futures::{StreamExt, stream::FuturesUnordered};
use natterjack_nats::{Conversation, Shards, UserId, cluster, subjects};
use natterjack_runtime::clock::Clock;
use tokio::sync::mpsc;

use super::{
    population::stored,
    stage::{Stage, Tally},
    window::Workers,
};

/// A connection and what to publish over it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Raw {
    context: jetstream::Context,
    shards: Shards,
    clock: Clock,
    text: String,
    /// Conversations with a user who may write there.
    targets: Vec<(UserId, Conversation)>,
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// NATS does not answer.
    pub async fn connect(
        nats_url: &str,
        shards: Shards,
        text: String,
        targets: Vec<(UserId, Conversation)>,
    ) -> anyhow::Result<Self> {
        let client = cluster::connect(nats_url, "natterjack bench raw", |_| {}).await?;
        let context = ContextBuilder::new().max_ack_inflight(65_536).build(client);
        Ok(Self {
            context,
            shards,
            clock: Clock::system(),
            text,
            targets,
        })
    }

    /// Publishes the message with that number, and waits until it is on disk.
    ///
    /// # Errors
    /// The stream refuses it, or does not answer.
    pub async fn publish(&self, number: usize, text: &str) -> anyhow::Result<()> {
        let (sender, conversation) = self.targets[number % self.targets.len()];
        let (msg_id, payload) = stored(conversation, sender, text, &self.clock)?;
        let subject = subjects::chat::subject(self.shards, &conversation);
        let message = PublishMessage::build().message_id(msg_id).payload(payload.into());
        self.context.send_publish(subject, message).await?.await?;
        Ok(())
    }

    /// So many in flight all the time: the next is published when one was acked.
    pub fn closed(&self, in_flight: usize, stage: &Stage) -> Workers {
        let mut workers = Workers::new();
        let (raw, stage) = (self.clone(), stage.clone());
        workers.spawn(async move {
            let mut tally = Tally::new(&stage)?;
            let mut publishing = FuturesUnordered::new();
            let timed = |number: usize| {
                let (raw, begun) = (&raw, Instant::now());
                async move { raw.publish(number, &raw.text).await.map(|()| begun.elapsed()) }
            };
            for number in 0..in_flight {
                publishing.push(timed(number));
            }
            let mut number = in_flight;
            while let Some(latency) = publishing.next().await {
                tally.done(latency?);
                if !stage.is_over() {
                    publishing.push(timed(number));
                    number += 1;
                }
            }
            drop(publishing);
            Ok(tally)
        });
        workers
    }

    /// Whatever is due, whether or not the last was acked.
    pub fn open(&self, mut due: mpsc::Receiver<Instant>, stage: &Stage) -> Workers {
        let mut workers = Workers::new();
        let (raw, stage) = (self.clone(), stage.clone());
        workers.spawn(async move {
            let mut tally = Tally::new(&stage)?;
            let mut publishing = FuturesUnordered::new();
            let timed = |number: usize, at: Instant| {
                let raw = &raw;
                async move { raw.publish(number, &raw.text).await.map(|()| at.elapsed()) }
            };
            let (mut number, mut paced) = (0, true);
            while paced || !publishing.is_empty() {
                tokio::select! {
                    at = due.recv(), if paced => match at {
                        Some(at) => {
                            publishing.push(timed(number, at));
                            number += 1;
                        }
                        None => paced = false,
                    },
                    Some(latency) = publishing.next() => tally.done(latency?),
                }
            }
            drop(publishing);
            Ok(tally)
        });
        workers
    }
}
