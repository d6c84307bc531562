//! The baseline: the same bytes under keys as long as a session's and a user's, written into a bare
//! bucket one after the other. That is the least that a transition needs: what the edge says, and what
//! follows from it.

use std::time::Duration;

use async_nats::jetstream::{context::ContextBuilder, kv, stream::StorageType};
use futures::{StreamExt, TryStreamExt, stream};
use natterjack_nats::{
    EdgeId, cluster, subjects,
    wire::{DeviceSession, PresenceRecord, PresenceState},
};
use natterjack_runtime::clock::Clock;
use tokio::time::{Instant, sleep};

use super::{
    super::{cluster::Cluster, cost::Meter, figure::median, idle::memory},
    result::{ByRole, each},
    stand_in::Seat,
};

const BUCKET: &str = "bench";
/// Pairs that are written one at a time, for how long one takes.
const ALONE: usize = 200;

/// What the bare pairs cost.
pub struct Pairs {
    pub per_second: f64,
    pub cpu_us_each: ByRole,
    /// Median of one at a time.
    pub alone_ms: f64,
    /// Bytes that the roles hold for a pair.
    pub bytes_each: ByRole,
}

/// Writes a pair for each seat, twice, in a cluster where nothing else happens: the first time the
/// keys are new, as those of users are who come for the first time; what counts is the second.
///
/// # Errors
/// NATS refuses.
pub async fn pairs(
    cluster: &Cluster,
    seats: &[Seat],
    in_flight: usize,
    settle: Duration,
) -> anyhow::Result<Pairs> {
    let client = cluster::connect(&cluster.nats_url, "natterjack bench raw", |_| {}).await?;
    let context = ContextBuilder::new().max_ack_inflight(65_536).build(client);
    let config = kv::Config {
        bucket: BUCKET.into(),
        history: 1,
        storage: StorageType::File,
        ..kv::Config::default()
    };
    let bucket = &context.create_key_value(config).await?;
    let now_ms = Clock::system().now_ms();
    let edge = EdgeId::generate(now_ms);
    let session = serde_json::to_vec(&DeviceSession {
        epoch: now_ms,
        active: true,
        since: now_ms,
    })?;
    let record = serde_json::to_vec(&PresenceRecord {
        state: PresenceState::Online,
        since: now_ms,
        ..PresenceRecord::default()
    })?;
    let pair = |seat: &Seat| {
        let writes = [
            (
                subjects::kv::session(edge, seat.user, seat.device),
                session.clone(),
            ),
            (seat.user.to_string(), record.clone()),
        ];
        async move {
            for (key, value) in writes {
                bucket.put(key, value.into()).await?;
            }
            Ok::<_, anyhow::Error>(())
        }
    };
    let all = || stream::iter(seats).map(pair).buffer_unordered(in_flight);
    sleep(settle).await;
    let before = memory::anonymous(&cluster.processes());
    all().try_collect::<()>().await?;
    sleep(settle).await;
    let held = memory::anonymous(&cluster.processes());
    let bytes_each = held.into_iter().map(|(role, bytes)| {
        let more = bytes - before.get(&role).copied().unwrap_or_default();
        (role, more / each(seats.len()))
    });
    let bytes_each = bytes_each.collect();
    let meter = Meter::start(cluster);
    all().try_collect::<()>().await?;
    let cost = meter.stop(cluster);
    let mut alone = Vec::new();
    for seat in seats.iter().cycle().take(ALONE) {
        let begun = Instant::now();
        pair(seat).await?;
        alone.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let us = |(role, seconds): (&String, &f64)| (role.clone(), seconds * 1e6 / each(seats.len()));
    Ok(Pairs {
        per_second: each(seats.len()) / cost.seconds,
        cpu_us_each: cost.cpu_s.iter().map(us).collect(),
        alone_ms: median(alone),
        bytes_each,
    })
}
