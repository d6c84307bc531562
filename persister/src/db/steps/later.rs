//! Steps that the program can do without, tried again while it runs.

use std::time::Duration;

use super::{Step, Watch};
use crate::db::{connect::ConnectError, migrate};

/// Before the first further try; each pause is twice the one before, up to the longest.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Tries until all are taken, by this process or another.
pub(in crate::db) async fn take(watch: Watch, steps: Vec<Step>) {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        match once(&watch, &steps).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "a step of the schema waits for a later try"),
        }
    }
}

/// Whether nothing is left to do.
async fn once(watch: &Watch, steps: &[Step]) -> Result<bool, ConnectError> {
    let Some(mut client) = watch.connect().await else {
        return Ok(false);
    };
    Ok(migrate::tune(&mut client, watch, steps).await?)
}
