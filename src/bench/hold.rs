//! Holds the persister's consumers, so that messages stay in the streams while its services answer.

use async_nats::Client;
use natterjack_nats::topology;
use serde_json::{Value, json};

use super::cluster::Cluster;

/// Holds them, or lets them go. The server takes a time until which it pauses a consumer.
///
/// # Errors
/// The server does not answer, or does something else.
pub async fn hold(cluster: &Cluster, client: &Client, held: bool) -> anyhow::Result<()> {
    for shard in cluster.shards.all() {
        let stream = topology::chat_stream(shard);
        let subject = format!("$JS.API.CONSUMER.PAUSE.{stream}.{}", topology::PERSISTER);
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
            "the consumer of {stream} was not held or let go: {answer}"
        );
    }
    Ok(())
}
