//! Steps of the schema after the migrations: what the previous version of the program can live with.
//!
//! A step says which program is the oldest that may still run on it (docs/decisions/expand-then-contract.md).
//! That mark stands in the database, in the table `schema_steps`, so that a program may start on a schema that
//! is newer than itself, as long as no step rules it out. Programs from before the steps do not know
//! that table, see the last migration, and may start too.

pub(super) mod later;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
mod watch;

use std::{collections::BTreeSet, time::Duration};

use tokio_postgres::{Client, error::SqlState};

pub(super) use watch::Watch;

/// How long a statement waits for a lock, while all who come after it wait for the statement.
const LOCK_TIMEOUT: &str = "set lock_timeout = '2s'";
/// What runs `concurrently` holds nobody up while it waits, and waits for every transaction that is open.
const NO_LOCK_TIMEOUT: &str = "set lock_timeout = 0";
/// How often it is tried, and after which pause.
pub(super) const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

const TABLE: &str = "\
    create table if not exists schema_steps ( \
      version integer primary key, \
      name text not null, \
      oldest integer not null, \
      applied_at timestamptz not null default now() \
    )";

/// The tables that hold a table's rows: its partitions, or the table itself.
const LEAVES: &str = "\
    select c.oid::regclass::text from pg_class c where c.relkind = 'r' and (c.oid = to_regclass($1) \
        or c.oid in (select relid from pg_partition_tree(to_regclass($1))))";

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Counts on from the last migration.
    pub(super) version: i32,
    pub(super) name: &'static str,
    /// The oldest program that can live with it, by the newest version of the schema that it knows.
    pub(super) oldest: i32,
    pub(super) way: Way,
    pub(super) sql: &'static str,
}

/// How the statements of a step are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In one transaction.
    Together,
    /// Each by itself, as `create index concurrently` must. They then have to bear repetition: a process may end
    /// between two of them.
    Alone,
    /// Settings of a table's storage, for each of its leaves, which `{leaf}` stands for: the table itself, or its
    /// partitions. The program runs well without them, so that it does not wait for them.
    Tuning(&'static str),
}

/// Why a step could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// Others were in the way all the time.
    #[error(
        "step {version} ({name}) got no lock in {tries} tries of two seconds; in the way is {who}. End that, or wait for it"
    )]
    Busy {
        version: i32,
        name: &'static str,
        tries: u32,
        who: String,
    },
    /// Postgres refuses it, or is away.
    #[error(transparent)]
    Failed(#[from] tokio_postgres::Error),
}

/// All of them, in their order. One that a release had is never changed.
pub(super) const STEPS: &[Step] = &[
    Step {
        version: 4,
        name: "vacuum_messages_sooner",
        oldest: 3,
        way: Way::Tuning("messages"),
        sql: include_str!("../../../steps/4_vacuum_messages_sooner.sql"),
    },
    Step {
        version: 5,
        name: "stream_marks",
        oldest: 3,
        way: Way::Together,
        sql: include_str!("../../../steps/5_stream_marks.sql"),
    },
    Step {
        version: 6,
        name: "shards",
        oldest: 3,
        way: Way::Together,
        sql: include_str!("../../../steps/6_shards.sql"),
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

/// Takes the steps that are missing, and answers which were left for [later], and why. The caller holds the lock of all
/// who migrate.
pub(super) async fn take(
    client: &mut Client,
    watch: &Watch,
    steps: &[Step],
    tries: u32,
) -> Result<Vec<(Step, StepError)>, StepError> {
    client.batch_execute(TABLE).await?;
    let found = versions(client).await?;
    let mut left = Vec::new();
    for step in steps.iter().filter(|step| !found.contains(&step.version)) {
        if let Way::Tuning(_) = step.way {
            if let Err(error) = take_within(client, watch, step, 1).await {
                left.push((*step, error));
            }
        } else {
            take_within(client, watch, step, tries).await?;
        }
    }
    Ok(left)
}

/// The steps that the database has.
async fn versions(client: &Client) -> Result<BTreeSet<i32>, tokio_postgres::Error> {
    let rows = client.query("select version from schema_steps", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn take_within(client: &mut Client, watch: &Watch, step: &Step, tries: u32) -> Result<(), StepError> {
    let mut who = None;
    let mut tried = 1;
    while let Err(error) = watched(client, watch, step, &mut who).await {
        if !busy(&error) {
            return Err(error.into());
        }
        if tried >= tries {
            return Err(StepError::Busy {
                version: step.version,
                name: step.name,
                tries,
                who: who.unwrap_or_else(|| "somebody who could not be found out".into()),
            });
        }
        tried += 1;
        tokio::time::sleep(PAUSE).await;
    }
    tracing::info!(
        schema.version = step.version,
        schema.name = step.name,
        schema.oldest = step.oldest,
        "took a step of the database's schema"
    );
    Ok(())
}

/// Tries a step once, and notes who is in its way.
async fn watched(
    client: &mut Client,
    watch: &Watch,
    step: &Step,
    who: &mut Option<String>,
) -> Result<(), tokio_postgres::Error> {
    let pid = client
        .query_one("select pg_backend_pid()", &[])
        .await?
        .get::<_, i32>(0);
    let mut work = std::pin::pin!(once(client, step));
    let found = tokio::select! {
        result = &mut work => return result,
        found = watch.in_the_way_of(pid) => found,
    };
    if who.is_none() {
        tracing::info!(
            schema.version = step.version,
            schema.name = step.name,
            "a step of the schema waits for {found}"
        );
    }
    *who = Some(found);
    work.await
}

/// Whether others were in the way, who may be gone in a moment.
fn busy(error: &tokio_postgres::Error) -> bool {
    let states = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|state| states.contains(state))
}

async fn once(client: &mut Client, step: &Step) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(LOCK_TIMEOUT).await?;
    let note = "insert into schema_steps (version, name, oldest) values ($1, $2, $3)";
    if step.way == Way::Alone {
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
    if let Way::Tuning(table) = step.way {
        for row in transaction.query(LEAVES, &[&table]).await? {
            let sql = step.sql.replace("{leaf}", row.get(0));
            transaction.batch_execute(&sql).await?;
        }
    } else {
        transaction.batch_execute(step.sql).await?;
    }
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
