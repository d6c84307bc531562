//! Trouble with streams: one that is full, and a consumer whose messages are in the hands of a process that stands
//! still.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_nats::jetstream::{self, consumer::PullConsumer};
use natterjack_client::ApiError;
use natterjack_nats::{MessageId, topology::PERSISTER, wire::Code};
use natterjack_runtime::clock::Clock;
use tokio::time::{Instant, sleep};

use super::{super::people::say, PATIENCE, POLL, SECRET, Scene, until};

/// Holds a few long texts, and all that was said before.
const SMALL_BYTES: &str = "131072";
const LONG_CHARS: usize = 40_000;
/// More than fit.
const LONG_MAX: usize = 8;
/// Instead of 30 s, for which nobody waits here.
const ACK_WAIT: Duration = Duration::from_secs(2);
/// A persister that goes on has written a message within this.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

impl Scene {
    /// People write until the stream refuses it, as the protocol says.
    pub(super) async fn the_stream_is_full(&mut self) -> anyhow::Result<()> {
        self.provision(&["--chat-bytes-max", SMALL_BYTES]).await?;
        let text = "x".repeat(LONG_CHARS);
        for _ in 0..LONG_MAX {
            let id = MessageId::generate(Clock::system().now_ms());
            match self.alice.api().send_text(self.dm, id, &text, None).await {
                Ok(_) => self.said += 1,
                Err(ApiError::Wire(error)) => {
                    ensure!(error.code == Code::Overloaded && error.retryable, "{error:?}");
                    self.refused = Some((id, text));
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        bail!("it takes more than it may hold")
    }

    /// What was refused is taken now, under its id.
    pub(super) async fn there_is_room(&mut self) -> anyhow::Result<()> {
        let (id, text) = self.refused.take().context("something that was refused")?;
        self.alice.api().send_text(self.dm, id, &text, None).await?;
        self.said += 1;
        Ok(())
    }

    /// A persister stands still with a message in hand.
    pub(super) async fn a_persister_stands_still(&mut self) -> anyhow::Result<()> {
        self.wait_for_acks(ACK_WAIT).await?;
        self.fleet.persisters[0].program().pause();
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.in_hand = say(&self.alice, self.dm, SECRET).await?;
            self.said += 1;
            let asked = Instant::now();
            while asked.elapsed() < WRITTEN_WITHIN {
                if self.floor().await? >= self.in_hand {
                    break;
                }
                sleep(POLL / 10).await;
            }
            // It is neither of the other's, nor written by it meanwhile.
            if asked.elapsed() >= WRITTEN_WITHIN {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the one that stands still is given nothing"
            );
        }
    }

    /// It still does, and the other one has written what it had.
    pub(super) async fn the_other_goes_on(&mut self) -> anyhow::Result<()> {
        let waited = until("the other persister", async || {
            Ok((self.floor().await? >= self.in_hand).then_some(()))
        });
        waited.await?;
        self.fleet.persisters[0].program().resume();
        let ack_wait = natterjack_nats::topology::consumers(self.fleet.ground().settings())
            .into_iter()
            .find_map(|(_, config)| {
                (config.durable_name.as_deref() == Some(PERSISTER)).then_some(config.ack_wait)
            });
        self.wait_for_acks(ack_wait.context("the persister's consumer")?)
            .await
    }

    /// Up to where all is in Postgres.
    async fn floor(&self) -> anyhow::Result<u64> {
        let info = self.persister().await?.cached_info().clone();
        Ok(info.ack_floor.stream_sequence)
    }

    async fn persister(&self) -> anyhow::Result<PullConsumer> {
        let context = jetstream::new(self.client.clone());
        let (stream, _) = self.shard();
        let consumer = context.get_consumer_from_stream(PERSISTER, stream).await;
        consumer.context("the persister's consumer")
    }

    async fn wait_for_acks(&self, ack_wait: Duration) -> anyhow::Result<()> {
        let mut config = self.persister().await?.cached_info().config.clone();
        config.ack_wait = ack_wait;
        let config = jetstream::consumer::FromConsumer::try_from_consumer_config(config)
            .map_err(|error| anyhow::anyhow!("it is pulled: {error}"))?;
        let (stream, _) = self.shard();
        let stream = jetstream::new(self.client.clone())
            .get_stream_no_info(stream)
            .await?;
        let _: PullConsumer = stream
            .update_consumer::<jetstream::consumer::pull::Config>(config)
            .await?;
        Ok(())
    }
}
