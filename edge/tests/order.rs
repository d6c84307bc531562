//! What one session sends is stored in the order in which it was sent, whatever happens to NATS, and
//! not at all once its time is over.

mod common;

use std::{sync::Arc, time::Duration};

use common::{PATIENCE, Stage};
use futures::{StreamExt, stream::FuturesUnordered};
use natterjack_edge::ops::{
    Caller,
    send::{Draft, Lane},
};
use natterjack_nats::{
    Conversation, DeviceId, MessageId, UserId,
    direct::{self, Bounds},
    subjects::chat,
    topology::{Settings, chat_stream},
    wire::{Code, Stored},
};
use natterjack_runtime::clock::Clock;
use tokio::time::sleep;

/// So many are under way at a time, as in a session.
const IN_FLIGHT: usize = 64;
const MESSAGES: usize = 3_000;
/// So often the server is killed.
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_does_not_change_the_order() {
    let stage = Stage::new(&["--no-rate-limits"]).await;
    let app = Arc::clone(&stage.edge.app);
    let caller = Caller {
        user: UserId::from_parts(1, 1),
        device: DeviceId::from_parts(2, 2),
    };
    let conversation = Conversation::dm(caller.user, caller.user);
    let lane = Arc::<Lane>::default();
    let (mut outcomes, mut acked, mut kills) = (FuturesUnordered::new(), 0, 0);
    let mut restart = None;
    for n in 0..MESSAGES {
        if n % (MESSAGES / KILLS) == MESSAGES / KILLS / 2 {
            kills += 1;
            stage.server.kill().await;
            let server = stage.server.clone();
            restart = Some(tokio::spawn(
                async move { server.restart().await.expect("restarted") },
            ));
        }
        let id = MessageId::generate(Clock::system().now_ms());
        let draft = Draft::text(id, conversation, format!("{n}"), None);
        let prepared = app.prepare(&caller, draft).await.expect("fine");
        let pending = app.publish(prepared, &lane).await.expect("handed over");
        outcomes.push(app.outcome(pending));
        while outcomes.len() >= IN_FLIGHT {
            outcomes.next().await.expect("some").expect("stored");
            acked += 1;
        }
    }
    while let Some(outcome) = outcomes.next().await {
        outcome.expect("stored");
        acked += 1;
    }
    restart.expect("killed").await.expect("restarted");
    assert_eq!((acked, kills), (MESSAGES, KILLS));

    let (stream, subject) = (
        chat_stream(app.shards.of(&conversation)),
        chat::subject(app.shards, &conversation),
    );
    let bounds = Bounds {
        messages: MESSAGES,
        bytes: 64 << 20,
        timeout: PATIENCE,
    };
    let (mut texts, mut from) = (Vec::new(), 1);
    while texts.len() < MESSAGES {
        let client = &app.nats.service;
        let batch = direct::next_by_subject(client, &stream, &subject, from, bounds).await;
        let batch = batch.expect("read");
        from = batch.messages.last().expect("more").seq + 1;
        texts.extend(batch.messages.iter().map(|message| {
            let stored: Stored = serde_json::from_slice(&message.payload).expect("a message");
            stored.text.expect("a text").parse::<usize>().expect("a number")
        }));
    }
    let wrong: Vec<_> = texts.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(wrong.is_empty(), "out of order: {wrong:?}");
    stage.end().await;
}

/// As when the whole process was held up between the two: by then the sender may have been refused
/// elsewhere, and the stream may have forgotten it.
#[tokio::test]
async fn what_was_admitted_too_long_ago_is_not_published_any_more() {
    let settings = Settings {
        dedupe_window: Duration::from_secs(2),
        ..Settings::default()
    };
    let stage = Stage::on(&settings, &["--no-rate-limits"]).await;
    let app = Arc::clone(&stage.edge.app);
    let caller = Caller {
        user: UserId::from_parts(1, 1),
        device: DeviceId::from_parts(2, 2),
    };
    let conversation = Conversation::dm(caller.user, caller.user);
    let draft = |text: &str| {
        let id = MessageId::generate(Clock::system().now_ms());
        Draft::text(id, conversation, text.into(), None)
    };
    let late = app.prepare(&caller, draft("late")).await.expect("fine");
    // A quarter of the window is for tries.
    sleep(settings.dedupe_window / 4).await;
    let lane = Arc::<Lane>::default();
    let late = app.publish(late, &lane).await.expect("waits");
    let error = app.outcome(late).await.expect_err("too late");
    assert_eq!((error.code, error.retryable), (Code::Unavailable, true));
    let prepared = app.prepare(&caller, draft("in time")).await.expect("fine");
    let pending = app.publish(prepared, &lane).await.expect("handed over");
    assert_eq!(app.outcome(pending).await, Ok(1), "nothing was stored before it");
    stage.end().await;
}
