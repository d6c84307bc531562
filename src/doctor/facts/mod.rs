//! What can be seen of a cluster from here, gathered once and side by side; the checks only read it.
//!
//! Nothing here changes anything, and nothing waits without a bound: a part that cannot be reached is
//! [`Missing`], and the rest goes on.

mod edges;
mod nats;
mod postgres;
mod scatter;
mod servers;
mod services;

use std::time::Duration;

use natterjack_persister::db::look::Facts as Database;

pub use self::{
    edges::{Edge, Reached},
    nats::{Backlog, Nats},
    servers::{JetStream, Server},
    services::Instance,
};
use super::args::Args;

/// No part takes longer than this to be looked at.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a part was not seen.
#[derive(Debug, Clone)]
pub struct Missing {
    /// Whether it was asked for: what was, and does not answer, is broken.
    pub asked_for: bool,
    /// Why not.
    pub why: String,
    /// What would help.
    pub todo: String,
}

impl Missing {
    /// It was not asked for: what to give.
    fn not_given(why: &str, todo: &str) -> Self {
        Self {
            asked_for: false,
            why: why.into(),
            todo: todo.into(),
        }
    }

    /// It does not answer as it should.
    fn away(why: impl Into<String>, todo: &str) -> Self {
        Self {
            asked_for: true,
            why: why.into(),
            todo: todo.into(),
        }
    }
}

/// A part, or why it was not seen.
pub type Seen<T> = Result<T, Missing>;

/// All that was seen.
#[derive(Debug)]
pub struct Facts {
    /// What was asked for.
    pub args: Args,
    /// Streams, consumers and buckets.
    pub nats: Seen<Nats>,
    /// The nats-servers themselves.
    pub servers: Seen<Vec<Server>>,
    /// The micro services that answer.
    pub services: Seen<Vec<Instance>>,
    /// Postgres.
    pub database: Seen<Database>,
    /// The edges that hold a lease, and how they answer.
    pub edges: Seen<Vec<Edge>>,
}

/// Looks at everything.
pub async fn gather(args: Args) -> Facts {
    let ((nats, services, edges), servers, database) = tokio::join!(
        over_nats(&args),
        bounded(
            servers::look(&args),
            "the nats-servers did not answer in time",
            "try again; a machine that is this slow is a finding of its own"
        ),
        bounded(
            postgres::look(&args),
            "Postgres did not answer in time",
            "look at its load and its disks"
        ),
    );
    Facts {
        args,
        nats,
        servers,
        services,
        database,
        edges,
    }
}

async fn over_nats(args: &Args) -> (Seen<Nats>, Seen<Vec<Instance>>, Seen<Vec<Edge>>) {
    let client = match nats::connect(args).await {
        Ok(client) => client,
        Err(missing) => return (Err(missing.clone()), Err(missing.clone()), Err(missing)),
    };
    let again = "try again, and look at `nats server report jetstream` if it stays so";
    tokio::join!(
        bounded(
            nats::look(&client, args),
            "JetStream did not answer in time",
            again
        ),
        bounded(
            services::look(&client),
            "the micro services could not be asked in time",
            again
        ),
        bounded(
            edges::look(&client, args),
            "the leases of the edges could not be read in time",
            again
        ),
    )
}

async fn bounded<T>(look: impl Future<Output = Seen<T>>, why: &str, todo: &str) -> Seen<T> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(seen) => seen,
        Err(_) => Err(Missing::away(why, todo)),
    }
}
