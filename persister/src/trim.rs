//! Trims the streams: nothing leaves a stream before Postgres has it, and nothing within the tail
//! window.

use std::time::Duration;

use natterjack_nats::{Shard, direct, topology};

use crate::Shared;

const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Trims all shards again and again, for ever.
pub async fn keep_trimmed(shared: Shared, window: Duration) {
    // The watermarks of the round before: whoever captured a younger one reads the stream beyond
    // it within a few seconds, and must still find there what Postgres got meanwhile.
    let mut safe = shared.watermarks.all();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = shared.watermarks.all();
        round(&shared, window, &lower(&safe, &now)).await;
        safe = now;
    }
}

/// The lower of two rounds' watermarks: one that went back, as a new leader's may, counts at once.
fn lower(before: &[u64], now: &[u64]) -> Vec<u64> {
    before
        .iter()
        .zip(now)
        .map(|(before, now)| *before.min(now))
        .collect()
}

/// Trims each shard up to its entry in `watermarks`, but nothing younger than `window`.
pub async fn round(shared: &Shared, window: Duration, watermarks: &[u64]) {
    for shard in shared.shards.all() {
        let watermark = watermarks.get(shard.index()).copied().unwrap_or_default();
        match trim(shared, shard, window, watermark).await {
            Ok(0) => {}
            Ok(purged) => {
                tracing::debug!(trim.shard = %shard, trim.messages = purged, "trimmed");
            }
            // The stream grows until the next round, and refuses sends before it loses anything.
            Err(error) => tracing::warn!(trim.shard = %shard, error, "could not trim the stream"),
        }
    }
}

async fn trim(shared: &Shared, shard: Shard, window: Duration, watermark: u64) -> Result<u64, String> {
    if watermark == 0 {
        return Ok(0);
    }
    let stream = topology::chat_stream(shard);
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let since = shared.clock.now_ms().saturating_sub(window_ms);
    let young = direct::first_since(&shared.client, &stream, since, TIMEOUT)
        .await
        .map_err(|error| error.to_string())?;
    // The first sequence that stays.
    let keep = young.map_or(u64::MAX, |message| message.seq).min(watermark + 1);
    let stream = shared
        .jetstream
        .get_stream(&stream)
        .await
        .map_err(|error| error.to_string())?;
    if keep <= stream.cached_info().state.first_sequence {
        return Ok(0);
    }
    let purged = stream
        .purge()
        .sequence(keep)
        .await
        .map_err(|error| error.to_string())?;
    Ok(purged.purged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_that_went_back_counts_at_once() {
        assert_eq!(lower(&[5, 9], &[7, 3]), [5, 3]);
    }
}
