//! Steps of the schema after the migrations: what the previous version of the program can live with.
//!
//! A step says which program is the oldest that may still run on it (docs/decisions/expand-then-contract.md).
//! That mark stands in the database, in the table `schema_steps`, so that a program may start on a schema that
//! is newer than itself, as long as no step rules it out. Programs from before the steps do not know
//! that table, see the last migration, and may start too.

#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio_postgres::{Client, error::SqlState};

/// How long a statement waits for a lock, while all who come after it wait for the statement.
const LOCK_TIMEOUT: &str = "set lock_timeout = '2s'";
/// What runs `concurrently` holds nobody up while it waits, and waits for every transaction that is open.
const NO_LOCK_TIMEOUT: &str = "set lock_timeout = 0";
/// How often it is tried, and after which pause.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

const TABLE: &str = "\
    create table if not exists schema_steps ( \
      version integer primary key, \
      name text not null, \
      oldest integer not null, \
      applied_at timestamptz not null default now() \
    )";

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Counts on from the last migration.
    pub(super) version: i32,
    pub(super) name: &'static str,
    /// The oldest program that can live with it, by the newest version of the schema that it knows.
    pub(super) oldest: i32,
    /// Whether its statements run each by itself, as `create index concurrently` must. They then have to bear
    /// repetition: a process may end between two of them.
    pub(super) alone: bool,
    pub(super) sql: &'static str,
}

/// All of them, in their order. One that a release had is never changed.
pub(super) const STEPS: &[Step] = &[
    Step {
        version: 4,
        name: "vacuum_messages_sooner",
        oldest: 3,
        alone: false,
        sql: include_str!("../../../steps/4_vacuum_messages_sooner.sql"),
    },
    Step {
        version: 5,
        name: "stream_marks",
        oldest: 3,
        alone: false,
        sql: include_str!("../../../steps/5_stream_marks.sql"),
    },
];

/// What a database says of the steps that it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// The newest; 0 if there is none.
    pub(super) version: i32,
    /// The oldest program that can live with all of them; 0 if there is none.
    pub(super) oldest: i32,
}

/// Which steps the database has.
pub(super) async fn applied(client: &Client) -> Result<Applied, tokio_postgres::Error> {
    let exists = "select to_regclass('schema_steps') is not null";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(Applied::default());
    }
    let sql = "select coalesce(max(version), 0), coalesce(max(oldest), 0) from schema_steps";
    let row = client.query_one(sql, &[]).await?;
    Ok(Applied {
        version: row.get(0),
        oldest: row.get(1),
    })
}

/// Takes the steps that are missing. The caller holds the lock of all who migrate.
pub(super) async fn take(client: &mut Client, steps: &[Step]) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(TABLE).await?;
    let found = applied(client).await?.version;
    for step in steps.iter().filter(|step| step.version > found) {
        let mut tries = 1;
        while let Err(error) = once(client, step).await {
            if !busy(&error) || tries == TRIES {
                return Err(error);
            }
            tracing::info!(
                schema.version = step.version,
                "a step of the schema waits for its turn"
            );
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(
            schema.version = step.version,
            schema.name = step.name,
            schema.oldest = step.oldest,
            "took a step of the database's schema"
        );
    }
    Ok(())
}

/// Whether others were in the way, who may be gone in a moment.
fn busy(error: &tokio_postgres::Error) -> bool {
    let states = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|state| states.contains(state))
}

async fn once(client: &mut Client, step: &Step) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(LOCK_TIMEOUT).await?;
    let note = "insert into schema_steps (version, name, oldest) values ($1, $2, $3)";
    if step.alone {
        for statement in statements(step.sql) {
            let concurrent = statement.to_lowercase().contains(" concurrently ");
            let timeout = if concurrent { NO_LOCK_TIMEOUT } else { LOCK_TIMEOUT };
            client.batch_execute(timeout).await?;
            client.batch_execute(&statement).await?;
        }
        client.batch_execute(LOCK_TIMEOUT).await?;
        client
            .execute(note, &[&step.version, &step.name, &step.oldest])
            .await?;
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(step.sql).await?;
    transaction
        .execute(note, &[&step.version, &step.name, &step.oldest])
        .await?;
    transaction.commit().await
}

/// The statements of a file, without comments. A semicolon ends one wherever it stands.
fn statements(sql: &str) -> Vec<String> {
    let lines = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    let text: Vec<&str> = lines.collect();
    let parts = text.join("\n");
    let parts = parts
        .split(';')
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    parts.filter(|statement| !statement.is_empty()).collect()
}
