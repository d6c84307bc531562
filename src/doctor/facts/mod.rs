//! What can be seen of a cluster from here, gathered once and side by side; the checks only read it.
//!
//! Nothing here changes anything, and nothing waits without a bound: a part that cannot be reached is
//! [`Missing`], and the rest goes on.

mod certificates;
mod edges;
mod nats;
mod permissions;
mod postgres;
mod processes;
mod scatter;
mod servers;
mod services;

use std::time::Duration;

use natterjack_persister::db::look::Facts as Database;

use self::servers::Servers;
pub use self::{
    certificates::{Shown, Unseen},
    edges::{Edge, Reached, leads_to_itself},
    nats::{Backlog, Nats},
    permissions::Tried,
    processes::Process,
    servers::{JetStream, Server},
    services::Instance,
};
use super::args::Args;

/// No part takes longer than this to be looked at.
const PATIENCE: Duration = Duration::from_secs(22);

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
    /// The nats-servers themselves: those that answer.
    pub servers: Seen<Vec<Server>>,
    /// Those of them that were named and do not answer, where others do.
    pub servers_away: Vec<Missing>,
    /// The micro services that answer.
    pub services: Seen<Vec<Instance>>,
    /// The processes of all roles.
    pub processes: Seen<Vec<Process>>,
    /// Postgres.
    pub database: Seen<Database>,
    /// The edges that hold a lease, and how they answer.
    pub edges: Seen<Vec<Edge>>,
    /// What users may do whose keys were given.
    pub permissions: Seen<Vec<Tried>>,
    /// Certificates of servers and in files.
    pub certificates: Seen<Vec<Shown>>,
}

/// Looks at everything.
pub async fn gather(args: Args) -> Facts {
    let slow = "try again; a machine that is this slow is a finding of its own";
    let (over, servers, database, permissions) = tokio::join!(
        over_nats(&args),
        bounded(
            servers::look(&args),
            "the nats-servers did not answer in time",
            slow
        ),
        bounded(
            postgres::look(&args),
            "Postgres did not answer in time",
            "look at its load and its disks"
        ),
        bounded(
            permissions::look(&args),
            "the keys of the users could not be tried in time",
            slow
        ),
    );
    // Where edges are is known only now.
    let certificates = certificates::look(&args, &over.edges);
    let certificates = bounded(certificates, "certificates were not shown in time", slow).await;
    let (servers, servers_away) = match servers {
        Ok(Servers { seen, away }) => (Ok(seen), away),
        Err(missing) => (Err(missing), Vec::new()),
    };
    Facts {
        args,
        nats: over.nats,
        servers,
        servers_away,
        services: over.services,
        processes: over.processes,
        database,
        edges: over.edges,
        permissions,
        certificates,
    }
}

/// What is seen over one connection to NATS.
struct OverNats {
    nats: Seen<Nats>,
    services: Seen<Vec<Instance>>,
    processes: Seen<Vec<Process>>,
    edges: Seen<Vec<Edge>>,
}

async fn over_nats(args: &Args) -> OverNats {
    let client = match nats::connect(args).await {
        Ok(client) => client,
        Err(missing) => {
            return OverNats {
                nats: Err(missing.clone()),
                services: Err(missing.clone()),
                processes: Err(missing.clone()),
                edges: Err(missing),
            };
        }
    };
    let again = "try again, and look at `nats server report jetstream` if it stays so";
    let (nats, services, processes, edges) = tokio::join!(
        bounded(
            nats::look(&client, args),
            "JetStream did not answer in time",
            again
        ),
        bounded(
            services::look(&client),
            "the micro services did not answer in time",
            again
        ),
        bounded(
            processes::look(&client),
            "the processes did not answer in time",
            again
        ),
        bounded(
            edges::look(&client, args),
            "the edges did not answer in time",
            again
        ),
    );
    OverNats {
        nats,
        services,
        processes,
        edges,
    }
}

async fn bounded<T>(look: impl Future<Output = Seen<T>>, why: &str, todo: &str) -> Seen<T> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(seen) => seen,
        Err(_) => Err(Missing::away(why, todo)),
    }
}
