//! Fills the streams with conversations that have nothing to do with what is measured.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_nats::{Conversation, UserId};
use natterjack_runtime::clock::Clock;

use super::{cluster::Cluster, population::text, raw::Raw};

/// Messages that are under way meanwhile.
const FILLING: usize = 256;

/// Publishes a message to each of so many conversations between users that nobody knows, and waits
/// until all of it is in Postgres.
///
/// # Errors
/// NATS does not take them, or the persister does not write them.
pub async fn fill(cluster: &Cluster, conversations: usize, text_bytes: usize) -> anyhow::Result<()> {
    let now_ms = Clock::system().now_ms();
    let stranger = || {
        let (a, b) = (UserId::generate(now_ms), UserId::generate(now_ms));
        (a, Conversation::dm(a, b))
    };
    let targets = (0..conversations).map(|_| stranger()).collect();
    let text = text(text_bytes);
    let raw = Raw::connect(&cluster.nats_url, cluster.shards, text.clone(), targets).await?;
    let publishing = stream::iter(0..conversations).map(|number| raw.publish(number, &text));
    publishing
        .buffer_unordered(FILLING)
        .try_collect::<()>()
        .await
        .context("conversations could not be filled")?;
    cluster.settle().await
}
