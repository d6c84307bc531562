//! The schema: embedded, numbered migrations and the steps after them, run by one process at a time.

use std::time::Duration;

use tokio_postgres::Client;

use super::{
    error::chain,
    steps::{self, Step, Watch},
};

/// Any number will do as long as all versions of the program agree on it.
const LOCK: i64 = 0x6e61_7474_6572_6a61;
/// Between two looks whether another process is done.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// There will be no further migration: what follows are [steps].
pub(super) const LAST_MIGRATION: i32 = 3;

/// A migration of a large table may take its time.
const SESSION: &str = "set statement_timeout = 0; set lock_timeout = 0; set client_min_messages = warning";

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program was here.
    #[error(
        "the database's schema is version {found}, which a program lives with that knows at least {oldest}, and \
         this one knows only up to {known}: run the newer natterjack, or restore a backup of before its upgrade"
    )]
    Newer {
        /// The version in the database.
        found: i32,
        /// What a program has to know to run on it.
        oldest: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// A migration failed, and was rolled back.
    #[error("the database's schema could not be brought up to date: {0}")]
    Failed(String),
}

/// Runs what is missing, and answers what of it was left for [`steps::later`]. Several processes may start at
/// once: they wait for each other.
pub async fn migrate(client: &mut Client, watch: &Watch) -> Result<Vec<Step>, MigrateError> {
    migrate_to(client, watch, steps::STEPS, steps::TRIES).await
}

pub(super) async fn migrate_to(
    client: &mut Client,
    watch: &Watch,
    steps: &[Step],
    tries: u32,
) -> Result<Vec<Step>, MigrateError> {
    let failed = |error: &dyn std::error::Error| MigrateError::Failed(chain(error));
    client
        .batch_execute(SESSION)
        .await
        .map_err(|error| failed(&error))?;
    lock(client).await.map_err(|error| failed(&error))?;
    let runner = embedded::migrations::runner();
    let known = newest(steps);
    let found = version(client).await.map_err(|error| failed(&error))?;
    let oldest = oldest(client).await.map_err(|error| failed(&error))?;
    if oldest > known {
        return Err(MigrateError::Newer { found, oldest, known });
    }
    let report = runner.run_async(client).await.map_err(|error| failed(&error))?;
    for migration in report.applied_migrations() {
        tracing::info!(
            schema.version = migration.version(),
            schema.name = migration.name(),
            "migrated the database"
        );
    }
    let left = steps::take(client, watch, steps, tries)
        .await
        .map_err(|error| failed(&error))?;
    for (step, error) in &left {
        tracing::warn!(
            schema.version = step.version,
            schema.name = step.name,
            error = chain(error),
            "a step of the schema that the program can do without is left for later"
        );
    }
    if found > known {
        tracing::info!(
            schema.version = found,
            schema.known = known,
            "the database's schema is newer than this program, which can live with it"
        );
    }
    Ok(left.into_iter().map(|(step, _)| step).collect())
}

/// Takes steps that were left out, unless another process is at it; answers whether nothing is left of them.
pub(super) async fn tune(client: &mut Client, watch: &Watch, steps: &[Step]) -> Result<bool, MigrateError> {
    let failed = |error: &dyn std::error::Error| MigrateError::Failed(chain(error));
    client
        .batch_execute(SESSION)
        .await
        .map_err(|error| failed(&error))?;
    if !try_lock(client).await.map_err(|error| failed(&error))? {
        return Ok(false);
    }
    let left = steps::take(client, watch, steps, 1).await;
    Ok(left.map_err(|error| failed(&error))?.is_empty())
}

async fn try_lock(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let row = client
        .query_one("select pg_try_advisory_lock($1)", &[&LOCK])
        .await?;
    Ok(row.get(0))
}

/// Takes the lock of all who migrate. It is the session's, and the session ends with its client.
///
/// Who has it is asked for again and again, and not waited for in a statement: that would hold a snapshot, for
/// whose end a `create index concurrently` of the process that has the lock waits in its turn.
async fn lock(client: &Client) -> Result<(), tokio_postgres::Error> {
    let mut told = false;
    loop {
        if try_lock(client).await? {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another process brings the database's schema up to date; waiting for it");
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// The newest version that this program knows.
pub(super) fn known() -> i32 {
    newest(steps::STEPS)
}

fn newest(steps: &[Step]) -> i32 {
    steps.last().map_or(LAST_MIGRATION, |step| step.version)
}

/// The version that the database is at; 0 if it is empty.
pub(super) async fn version(client: &Client) -> Result<i32, tokio_postgres::Error> {
    Ok(migrated(client).await?.max(steps::applied(client).await?.version))
}

/// What a program has to know to run on the database.
pub(super) async fn oldest(client: &Client) -> Result<i32, tokio_postgres::Error> {
    Ok(migrated(client).await?.max(steps::applied(client).await?.oldest))
}

/// The last migration that the database has; 0 if it is empty.
async fn migrated(client: &Client) -> Result<i32, tokio_postgres::Error> {
    let exists = "select to_regclass('refinery_schema_history') is not null";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    let newest = "select coalesce(max(version), 0)::int from refinery_schema_history";
    Ok(client.query_one(newest, &[]).await?.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_closed() {
        let runner = embedded::migrations::runner();
        let versions = runner.get_migrations().iter().map(refinery::Migration::version);
        assert_eq!(versions.max(), Some(LAST_MIGRATION), "what follows is a step");
    }
}
