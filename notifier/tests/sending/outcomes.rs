//! What becomes of a push, for each answer that a push service gives and each reason not to ask it.

use std::{sync::Arc, time::Duration};

use natterjack_nats::wire::{
    Channel::{Fcm, WebPush},
    FcmOs,
    PushOutcome::{Accepted, Dropped, GivenUp, Gone, Retry},
    PushTrace,
};
use tokio::sync::Semaphore;

use crate::{Answer, PushServer, World, dm, until};

#[tokio::test]
async fn it_is_taken_tried_again_or_given_up_as_the_push_service_says() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    server.next("2", [Answer::Status(503), Answer::Status(201)]);
    server.next("3", [Answer::RetryAfter(429, 3), Answer::Status(201)]);
    server.next("4", [Answer::Status(400)]);
    server.next("5", [Answer::Status(410)]);
    for number in 1..=5 {
        world
            .register(number, &server.endpoint(&number.to_string()))
            .await?;
        world.tell(WebPush, number, 100, 7).await?;
    }
    let outcomes = async |number, last| -> anyhow::Result<Vec<_>> {
        let became = world.becomes(dm(number, 100), 7, last).await?;
        Ok(became.into_iter().map(|(outcome, _)| outcome).collect())
    };
    assert_eq!(outcomes(1, Accepted).await?, [Accepted]);
    assert_eq!(outcomes(2, Accepted).await?, [Retry, Accepted]);
    assert_eq!(outcomes(3, Accepted).await?, [Retry, Accepted]);
    assert_eq!(outcomes(4, GivenUp).await?, [GivenUp]);
    assert_eq!(outcomes(5, Gone).await?, [Gone]);
    world.settled(WebPush).await?;
    let patient = server.asked_for("3");
    assert!(
        patient[1].at - patient[0].at >= Duration::from_secs(3),
        "as it asked"
    );
    for (number, times) in [(1, 1), (2, 2), (3, 2), (4, 1), (5, 1)] {
        assert_eq!(server.asked_for(&number.to_string()).len(), times, "{number}");
    }
    let asked = &server.asked_for("1")[0];
    assert!((86_000..=86_400).contains(&asked.ttl_s), "{}", asked.ttl_s);
    // Only the one that is gone loses its registration.
    assert_eq!(world.registered(5).await?, None);
    assert!(world.registered(4).await?.is_some());
    let dead = world.dead().await?;
    assert_eq!(dead.pushes.len(), 1);
    assert!(dead.pushes[0].1.error.contains("400"), "{:?}", dead.pushes);
    let outcome = |name| notifier.metric("push_outcomes_total", &["webpush", name]);
    assert_eq!(outcome("outcome=\"accepted\""), Some(3.0));
    assert_eq!(outcome("outcome=\"given_up\""), Some(1.0));
    notifier.stop().await
}

#[tokio::test]
async fn what_is_not_needed_is_not_sent() -> anyhow::Result<()> {
    let world = World::new().await?;
    let server = PushServer::start().await?;
    for number in 1..=7 {
        world
            .register(number, &server.endpoint(&number.to_string()))
            .await?;
    }
    // All of it before any notifier runs: what is true when it is sent counts.
    for number in 1..=7 {
        world.tell(WebPush, number, 100, 7).await?;
    }
    world.unregister(1).await?;
    world.register_fcm(2, "token", FcmOs::Android).await?;
    world.read(3, dm(3, 100), 7).await?;
    world.read(4, dm(4, 100), 6).await?;
    world.withdraw(WebPush, 5, 100, 7).await?;
    let silent = world.web_target(server.endpoint("6"));
    world.register_as(6, silent, true).await?;
    world.withdraw(WebPush, 6, 100, 7).await?;
    world.tell(WebPush, 7, 100, 9).await?;
    let notifier = world.notifier().await?;
    world.becomes(dm(4, 100), 7, Accepted).await?;
    world.becomes(dm(6, 100), 7, Accepted).await?;
    world.becomes(dm(7, 100), 9, Accepted).await?;
    for number in [1, 2] {
        world.becomes(dm(number, 100), 7, Dropped).await?;
    }
    world.settled(WebPush).await?;
    let mut asked: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["4", "6", "7"]);
    assert_eq!(server.asked_for("6")[0].urgency, "low");
    let read = world.trace(dm(3, 100)).await?;
    // Whoever was first: the one that withdraws what was read, or the one that was about to send it.
    assert!(
        read.iter()
            .any(|entry| matches!(entry, PushTrace::Withdrawn { seq: 7, .. })),
        "{read:?}"
    );
    assert!(world.dead().await?.pushes.is_empty());
    notifier.stop().await
}

#[tokio::test]
async fn a_registration_that_is_gone_does_not_take_its_successor_with_it() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    let gate = Arc::new(Semaphore::new(0));
    server.next("old", [Answer::Held(410, Arc::clone(&gate))]);
    world.register(1, &server.endpoint("old")).await?;
    world.tell(WebPush, 1, 100, 7).await?;
    until("the old one is asked", async || {
        Ok((server.asked_for("old").len() == 1).then_some(()))
    })
    .await?;
    let successor = world.register(1, &server.endpoint("new")).await?;
    gate.add_permits(1);
    let became = world.becomes(dm(1, 100), 7, Accepted).await?;
    assert_eq!(became[0].0, Gone);
    assert_eq!(server.asked_for("new").len(), 1);
    assert_eq!(world.registered(1).await?, Some(successor));
    notifier.stop().await
}

#[tokio::test]
async fn what_is_too_old_is_given_up_without_being_sent() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    world.register(1, &server.endpoint("1")).await?;
    let yesterday = natterjack_runtime::clock::Clock::system().now_ms() - 25 * 3_600_000;
    world.tell_at(WebPush, 1, 100, 7, yesterday).await?;
    let became = world.becomes(dm(1, 100), 7, GivenUp).await?;
    assert!(became[0].1.contains("24 hours"), "{became:?}");
    world.settled(WebPush).await?;
    assert!(server.asked().is_empty());
    notifier.stop().await
}

#[tokio::test]
async fn an_error_of_ours_is_an_alert_and_loses_nothing() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    let alert = || notifier.metric("push_misconfigured", &["webpush"]);
    assert_eq!(alert(), Some(0.0));
    // Of an origin that never took a push, a single user's word is none: anybody may name one.
    let strange = PushServer::start().await?;
    strange.always(Answer::Status(401));
    world.register(9, &strange.endpoint("9")).await?;
    world.tell(WebPush, 9, 100, 7).await?;
    world.becomes(dm(9, 100), 7, Retry).await?;
    let mut ids = Vec::new();
    for number in [1, 3, 4] {
        let path = number.to_string();
        server.next(&path, [Answer::Status(401)]);
        ids.push(world.register(number, &server.endpoint(&path)).await?);
        assert_eq!(alert(), Some(0.0));
        world.tell(WebPush, number, 100, 7).await?;
        world.becomes(dm(number, 100), 7, Retry).await?;
    }
    until("an operator is told", async || {
        Ok((alert() == Some(1.0)).then_some(()))
    })
    .await?;
    for (number, id) in [1, 3, 4].into_iter().zip(ids) {
        let became = world.becomes(dm(number, 100), 7, Accepted).await?;
        assert_eq!(became[0].0, Retry);
        assert!(became[0].1.contains("401"), "{became:?}");
        let asked = server.asked_for(&number.to_string());
        assert!(
            asked[1].at - asked[0].at >= Duration::from_secs(15),
            "the queue is not burnt"
        );
        assert_eq!(world.registered(number).await?, Some(id));
    }
    until("the alert is over", async || {
        Ok((alert() == Some(0.0)).then_some(()))
    })
    .await?;
    // Without credentials nothing is pushed through FCM, and what is to be waits.
    world.register_fcm(2, "token", FcmOs::Android).await?;
    world.tell(Fcm, 2, 100, 7).await?;
    assert_eq!(notifier.metric("push_misconfigured", &["fcm"]), None);
    notifier.stop().await
}
