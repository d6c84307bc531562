//! The task that asks again: everybody once NATS was away, those who were new once more a little later,
//! and who shares conversations with whom when that is due.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use natterjack_nats::{UserId, limits::WATCH_USERS_MAX};
use tokio::time::sleep;

use super::state::Unsure;
use crate::app::App;

/// Questions that are under way at a time, of either kind: all edges ask at once when NATS comes back.
const AT_A_TIME: usize = 4;
/// How long the round trip that proves the subscriptions may take.
const BARRIER: Duration = Duration::from_secs(30);
/// First and longest pause before users of whom nobody could tell are asked for again.
const PAUSE_MS: (u64, u64) = (500, 10_000);
/// The agenda is looked at this often at least, as clocks are set now and then.
const LOOK: Duration = Duration::from_secs(30);

/// Starts the task. It ends when the edge drains.
pub fn start(app: &Arc<App>) {
    let (app, shutdown) = (Arc::clone(app), app.tasks.shutdown().clone());
    app.tasks.clone().spawn("presence.watch", async move {
        tokio::select! {
            () = users(&app) => {}
            () = related(&app) => {}
            () = shutdown.draining() => {}
        }
        Ok(())
    });
}

/// Asks for users again. Never ends.
async fn users(app: &App) {
    let shared = &app.hub.watches().0;
    let mut pause_ms = PAUSE_MS.0;
    loop {
        let unsure = app.hub.watches().state().take_unsure();
        if let Some(unsure) = unsure {
            tracing::info!(
                users = unsure.users.len(),
                "changes of presence may have been missed; asking"
            );
            if !app.hub.round_trip(BARRIER).await {
                tracing::warn!("NATS does not answer on the live connection; asking all the same");
            }
            if all_answered(app, unsure).await {
                pause_ms = PAUSE_MS.0;
            } else {
                app.hub.watches().state().still_unsure();
                sleep(Duration::from_millis(pause_ms / 2 + jitter_ms(pause_ms / 2))).await;
                pause_ms = (pause_ms * 2).min(PAUSE_MS.1);
            }
            continue;
        }
        let now_ms = app.clock.now_ms();
        let (again, next_ms) = app.hub.watches().state().take_rechecks(now_ms);
        // A failure is not tried again: this is the second time.
        all_answered(app, again).await;
        let due = next_ms.map_or(LOOK, |at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms)));
        tokio::select! {
            () = shared.users_due.notified() => {}
            () = sleep(due.min(LOOK)) => {}
        }
    }
}

/// Asks for all of these, and takes in the answers; whether all were answered.
async fn all_answered(app: &App, unsure: Unsure) -> bool {
    let epoch = unsure.epoch;
    stream::iter(unsure.users.chunks(WATCH_USERS_MAX).map(<[UserId]>::to_vec))
        .map(|some| app.learn(some, epoch))
        .buffer_unordered(AT_A_TIME)
        .all(|outcome| async move {
            if let Err(error) = &outcome {
                tracing::debug!(%error, "presence could not be asked yet");
            }
            outcome.is_ok()
        })
        .await
}

/// Asks who shares conversations. Never ends.
async fn related(app: &App) {
    let watches = app.hub.watches();
    let ask = stream::unfold((), |()| async {
        loop {
            let (question, next_ms) = {
                let mut state = watches.state();
                (state.take_due(app.clock.now_ms()), state.next_due_ms())
            };
            if let Some(question) = question {
                return Some((question, ()));
            }
            let due = next_ms.map_or(LOOK, |at_ms| {
                Duration::from_millis(at_ms.saturating_sub(app.clock.now_ms()))
            });
            tokio::select! {
                () = watches.0.related_due.notified() => {}
                () = sleep(due.min(LOOK)) => {}
            }
        }
    });
    let answered = ask.for_each_concurrent(AT_A_TIME, |question| app.relate(question));
    answered.await;
}

/// A random time below `below_ms`.
fn jitter_ms(below_ms: u64) -> u64 {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    random % below_ms.max(1)
}
