//! The service `history`: pages, look-up of a message id, inspection of a target, sync.
//!
//! Every answer joins two halves without a seam: what Postgres has, which is everything up to the
//! shard's watermark, and the stream's tail beyond it. The watermark is always captured *before*
//! either half is read, so that what moves from one half to the other meanwhile is seen twice and
//! never missed. And Postgres is read before the stream: beyond the watermark its rows may have
//! holes, since batches are committed in any order, and the tail that is read later fills them. The
//! joining itself is pure ([`timeline`], [`overlay`], [`plan`]); reading is apart
//! ([`rows`], [`tail`], [`facts`]).

mod access;
mod dead;
mod facts;
mod inspect;
mod look_up;
mod moment;
mod overlay;
mod page;
mod plan;
mod rows;
mod sync;
mod sync_rows;
mod tail;
mod tails;
mod timeline;

use natterjack_nats::services::names;
use natterjack_service::Host;

use crate::{Shared, ingest::IngestMetrics};

/// Registers the service.
///
/// # Errors
/// NATS is away.
pub async fn start(shared: &Shared, ingest: &IngestMetrics, host: &Host) -> anyhow::Result<()> {
    let service = host
        .service(names::HISTORY, "Pages of messages, look-up of message ids, sync")
        .await?;
    service.verb(shared, page::read_page).await?;
    service.verb(shared, look_up::look_up).await?;
    service.verb(shared, inspect::inspect).await?;
    service.verb(shared, sync::sync).await?;
    service.verb(shared, dead::list).await?;
    let office = dead::Office::new(shared, ingest);
    service.verb(&office, dead::replay).await
}
