//! A history of any length, written to Postgres directly: what benchmarks measure against.
//!
//! Millions of messages through the streams would take hours; here the database makes them itself,
//! with the schema that the persister made and in the order in which they would have come: by
//! time, every conversation scattered over the whole table. It knows the schema, so it lives here,
//! and it has a connection of its own, because filling takes longer than any statement of the
//! persister may. It also answers what a bare client of Postgres would ask for: the baseline.
//!
//! For a database that holds nothing else and is thrown away.

mod bare;
mod fill;
mod shape;
mod space;

use std::time::Duration;

use anyhow::Context as _;
use tokio_postgres::{Client, NoTls};

pub use bare::{Bare, BareInsert, Own};
pub use shape::{Reader, Shape};
pub use space::{Blocks, Relation};

/// A database that can be filled.
#[derive(Debug)]
pub struct Sample {
    client: Client,
}

impl Sample {
    /// Connects to a database whose schema a persister has made.
    ///
    /// # Errors
    /// Postgres is away, or refuses.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let client = connect(url).await?;
        client
            .batch_execute(
                "set statement_timeout = 0; set synchronous_commit = off; set client_min_messages = warning",
            )
            .await?;
        Ok(Self { client })
    }
}

/// A connection of its own, with Postgres's own settings.
async fn connect(url: &str) -> anyhow::Result<Client> {
    let mut config: tokio_postgres::Config = url.parse().context("the database URL is not understood")?;
    config
        .application_name("natterjack-sample")
        .connect_timeout(Duration::from_secs(10));
    let (client, connection) = config.connect(NoTls).await.context("Postgres does not answer")?;
    // It ends with the client, and its error is the client's.
    tokio::spawn(connection);
    Ok(client)
}
