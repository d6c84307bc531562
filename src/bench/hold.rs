//! Holds durable consumers of the chat streams: what they would read stays there, while the services of
//! their role go on to answer.

use async_nats::Client;
use natterjack_nats::topology;
use serde_json::{Value, json};

use super::cluster::Cluster;

/// Holds the consumers of that name on all chat streams, or lets them go.
///
/// # Errors
/// The server does not answer, or does something else.
pub async fn hold(cluster: &Cluster, client: &Client, consumer: &str, held: bool) -> anyhow::Result<()> {
    for shard in cluster.shards.all() {
        hold_one(client, &topology::chat_stream(shard), consumer, held).await?;
    }
    Ok(())
}

/// Holds one consumer, or lets it go. The server takes a time until which it pauses a consumer.
///
/// # Errors
/// As [`hold`].
pub async fn hold_one(client: &Client, stream: &str, consumer: &str, held: bool) -> anyhow::Result<()> {
    let subject = format!("$JS.API.CONSUMER.PAUSE.{stream}.{consumer}");
    let request = if held {
        json!({ "pause_until": "2999-01-01T00:00:00Z" })
    } else {
        json!({})
    };
    let answer = client
        .request(subject, serde_json::to_vec(&request)?.into())
        .await?;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    anyhow::ensure!(
        answer.get("paused") == Some(&held.into()),
        "the consumer {consumer} of {stream} was not held or let go: {answer}"
    );
    Ok(())
}
