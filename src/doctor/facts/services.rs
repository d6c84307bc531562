//! Which micro services answer, and of which version they are: `nats micro ls`, in code.

use async_nats::Client;
use natterjack_nats::subjects::system;
use serde::Deserialize;

use super::{Missing, Seen, scatter};

/// One process's share in one service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Instance {
    /// The service.
    pub name: String,
    /// Which of its instances.
    pub id: String,
    /// Of the program.
    pub version: String,
}

/// Asks all of them.
pub async fn look(client: &Client) -> Seen<Vec<Instance>> {
    let answers = scatter::ask(client, system::SERVICES).await.map_err(|why| {
        Missing::away(
            format!("the micro services could not be asked: {why}"),
            "look at the connection to NATS",
        )
    })?;
    let instances = answers
        .iter()
        .filter_map(|answer| serde_json::from_slice(&answer.payload).ok());
    Ok(instances.collect())
}
