//! The task that asks again: everybody once NATS was away, those who were new once more a little later,
//! and who shares conversations with whom when that is due.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use natterjack_nats::{UserId, limits::WATCH_USERS_MAX};
use tokio::time::{Instant, sleep, sleep_until};

use super::{ask::AGAIN_MS, state::Unsure};
use crate::app::App;

/// Questions that are under way at a time, of either kind: all edges ask at once when NATS comes back.
const AT_A_TIME: usize = 4;
/// How long the round trip that proves the subscriptions may take.
const BARRIER: Duration = Duration::from_secs(30);
/// First and longest pause before users of whom nobody could tell are asked for again.
const PAUSE_MS: (u64, u64) = (500, 10_000);
/// The agenda is looked at this often at least, as clocks are set now and then.
const LOOK: Duration = Duration::from_secs(30);

/// Everybody is asked for again about this often: a change that was lost between two servers of a cluster
/// is announced by nothing.
const ROUND: Duration = Duration::from_secs(300);

/// Starts the task. It ends when nobody is connected any more.
pub fn start(app: &Arc<App>) {
    let app = Arc::clone(app);
    app.tasks.clone().spawn("presence.watch", async move {
        tokio::select! {
            () = users(&app) => {}
            () = related(&app) => {}
            () = app.hub.closed() => {}
        }
        Ok(())
    });
}

/// Asks for users again. Never ends.
async fn users(app: &App) {
    let shared = &app.hub.watches().0;
    let mut pause_ms = PAUSE_MS.0;
    let mut round_at = next_round();
    loop {
        let unsure = app.hub.watches().state().take_unsure();
        if let Some(unsure) = unsure {
            tracing::debug!(
                users = unsure.users.len(),
                "changes of presence may have been missed; asking"
            );
            if !app.hub.round_trip(BARRIER).await {
                tracing::warn!("NATS does not answer on the live connection; asking all the same");
            }
            let users = unsure.users.clone();
            if all_answered(app, unsure).await {
                pause_ms = PAUSE_MS.0;
                let again_ms = app.clock.now_ms() + AGAIN_MS;
                app.hub.watches().state().recheck(users, again_ms);
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
            () = sleep_until(round_at) => {
                round_at = next_round();
                app.hub.watches().state().doubt();
            }
        }
    }
}

fn next_round() -> Instant {
    let ms = u64::try_from(ROUND.as_millis()).unwrap_or(u64::MAX);
    Instant::now() + Duration::from_millis(ms / 2 + jitter_ms(ms / 2))
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
