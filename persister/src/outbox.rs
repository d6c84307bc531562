//! The outbox: events that a committed change owes to the streams.
//!
//! A change writes them into the table in its own transaction, so that neither happens without
//! the other. They are published in the order of their ids, one persister at a time, and a row
//! goes only after JetStream has acked it. A persister that dies in between leaves the row: it is
//! published again under the same message id, which the stream recognises within its dedupe
//! window and the history by its unique key after that. While NATS is away rows wait.

use std::{sync::Arc, time::Duration};

use async_nats::{
    connection::State,
    jetstream::{self, context::PublishError, message::PublishMessage},
};
use natterjack_nats::{Shards, headers, subjects, wire::Stored};
use natterjack_runtime::lifecycle::Tasks;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::sync::Mutex;

use crate::{
    Shared,
    db::{Db, DbError, Tx, TxError},
};

/// Most rows that are published in one transaction.
const BATCH_MAX: i64 = 200;
/// How often the table is looked at for rows that nobody drained.
const EVERY: Duration = Duration::from_secs(1);
/// How long the caller of a change waits until its events are on their way. The change itself is
/// committed by then, and the rows are drained by whoever comes next.
const CALLER_GRACE: Duration = Duration::from_secs(2);
/// How often, and after which pause, somebody who waits for the outbox looks at it.
const TOLD_LOOKS: u32 = 10;
const TOLD_PAUSE: Duration = Duration::from_millis(100);
/// How long one publish waits for its ack.
const ACK_GRACE: Duration = Duration::from_secs(5);

/// Why rows are left.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Postgres is away.
    #[error(transparent)]
    Db(#[from] DbError),
    /// There is no connection to NATS.
    #[error("not connected to NATS")]
    Disconnected,
    /// JetStream did not ack an event.
    #[error("JetStream did not take an event: {0}")]
    Publish(#[from] PublishError),
}

impl TxError for OutboxError {
    fn db(&self) -> Option<&DbError> {
        match self {
            Self::Db(error) => Some(error),
            _ => None,
        }
    }
}

/// Publishes what the table holds; cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    db: Db,
    jetstream: jetstream::Context,
    shards: Shards,
    /// Drains of this process take turns here, so that those who wait hold no connection.
    turn: Arc<Mutex<()>>,
    published: Counter,
    waiting: Gauge,
}

/// Writes events into the outbox, as part of a change.
///
/// # Errors
/// Postgres is away.
pub async fn write(tx: &Tx, events: &[Stored]) -> Result<(), DbError> {
    let payloads: Vec<Vec<u8>> = events
        .iter()
        .map(|event| serde_json::to_vec(event).unwrap_or_default())
        .collect();
    tx.execute(
        "insert into outbox (payload) select payload from unnest($1::bytea[]) with ordinality as e(payload, n) order by n",
        &[&payloads],
    )
    .await?;
    Ok(())
}

/// Waits a little until every event that is owed now is stored; whether it is.
///
/// # Errors
/// Postgres is away.
pub async fn is_told(db: &Db) -> Result<bool, DbError> {
    let mut last: Option<i64> = None;
    for _ in 0..TOLD_LOOKS {
        let owed = db
            .read("outbox.told", |tx| async move {
                let row = tx.query_one("select min(id), max(id) from outbox", &[]).await?;
                Ok::<_, DbError>((row.get::<_, Option<i64>>(0), row.get::<_, Option<i64>>(1)))
            })
            .await?;
        let (Some(min), Some(max)) = owed else {
            return Ok(true);
        };
        if min > *last.get_or_insert(max) {
            return Ok(true);
        }
        tokio::time::sleep(TOLD_PAUSE).await;
    }
    Ok(false)
}

impl Outbox {
    /// Drains what is left from before, and from now on every second.
    #[must_use]
    pub fn start(shared: &Shared, tasks: &Tasks) -> Self {
        let outbox = Self {
            db: shared.db.clone(),
            jetstream: shared.jetstream.clone(),
            shards: shared.shards,
            turn: Arc::default(),
            published: shared.metrics.register(
                "outbox_published",
                "Events published from the outbox",
                Counter::default(),
            ),
            waiting: shared.metrics.register(
                "outbox_waiting",
                "Events that waited in the outbox when it was last looked at",
                Gauge::default(),
            ),
        };
        crate::until_drain(tasks, "outbox", outbox.clone().keep_draining());
        outbox
    }

    /// Publishes what a change just committed, before its caller is answered. If that does not
    /// work out now, it is not the caller's trouble: the change is made and its rows wait.
    pub async fn flush(&self) {
        match tokio::time::timeout(CALLER_GRACE, self.drain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "events wait in the outbox"),
            Err(_) => tracing::debug!("events wait in the outbox: the drain takes long"),
        }
    }

    /// Publishes all that the table holds, in order.
    ///
    /// # Errors
    /// [`OutboxError`]; what was acked until then is gone from the table.
    pub async fn drain(&self) -> Result<(), OutboxError> {
        let _turn = self.turn.lock().await;
        if self.jetstream.client().connection_state() != State::Connected {
            return Err(OutboxError::Disconnected);
        }
        let batch = |tx: Tx| async move { self.batch(&tx).await };
        loop {
            let done = self.db.tx("outbox.drain", batch).await?;
            self.waiting.set(i64::try_from(done.left).unwrap_or(i64::MAX));
            if let Some(error) = done.failed {
                return Err(error);
            }
            if done.whole {
                return Ok(());
            }
        }
    }

    async fn batch(&self, tx: &Tx) -> Result<Batch, OutboxError> {
        tx.execute(
            "select pg_advisory_xact_lock(hashtextextended('natterjack.outbox', 0))",
            &[],
        )
        .await?;
        let rows = tx
            .query(
                "select id, payload from outbox order by id limit $1",
                &[&BATCH_MAX],
            )
            .await?;
        let mut acked: Vec<i64> = Vec::with_capacity(rows.len());
        let mut failed = None;
        for row in &rows {
            let id: i64 = row.try_get(0).map_err(DbError::from)?;
            let payload: &[u8] = row.try_get(1).map_err(DbError::from)?;
            if let Err(error) = self.publish(tx, id, payload).await {
                failed = Some(error);
                break;
            }
            acked.push(id);
        }
        if !acked.is_empty() {
            tx.execute("delete from outbox where id = any($1)", &[&acked])
                .await?;
        }
        self.published.inc_by(acked.len() as u64);
        Ok(Batch {
            left: rows.len() - acked.len(),
            whole: rows.len() < usize::try_from(BATCH_MAX).unwrap_or(usize::MAX),
            failed,
        })
    }

    async fn publish(&self, tx: &Tx, id: i64, payload: &[u8]) -> Result<(), OutboxError> {
        let Ok(stored) = serde_json::from_slice::<Stored>(payload) else {
            // Kept for an operator, and out of the way of those behind it.
            tracing::error!(
                outbox.id = id,
                "a row of the outbox is no message; it goes to the dead letters"
            );
            tx.execute(
                "insert into dead_letters (stream, seq, subject, payload, error, at)
                 values ('outbox', $1, '', $2, 'not a stored message', (extract(epoch from now()) * 1000)::bigint)
                 on conflict do nothing",
                &[&id, &payload],
            )
            .await?;
            return Ok(());
        };
        let subject = subjects::chat::subject(self.shards, &stored.conversation);
        let message = PublishMessage::build()
            .message_id(stored.nats_msg_id())
            .header(headers::KIND, headers::KIND_EVENT)
            // Rows of one group are written under its lock, so that their ids are in the order of its
            // changes, which the clocks of several persisters are not.
            .header(headers::CHANGE, id.to_string())
            .payload(payload.to_vec().into());
        let ack = self.jetstream.send_publish(subject, message).await?;
        // Bounded here, because an ack never comes if the connection breaks meanwhile.
        tokio::time::timeout(ACK_GRACE, ack)
            .await
            .map_err(|_| OutboxError::Disconnected)??;
        Ok(())
    }

    async fn keep_draining(self) {
        let mut failing = false;
        loop {
            match self.drain().await {
                Ok(()) if std::mem::take(&mut failing) => tracing::info!("the outbox drains again"),
                Ok(()) => {}
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "events wait in the outbox; it is tried again every second");
                }
                Err(_) => {}
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// What became of the rows that were looked at.
struct Batch {
    left: usize,
    /// Whether these were all rows.
    whole: bool,
    failed: Option<OutboxError>,
}
