//! FCM: what it gets, its errors, and the tokens.

use std::{path::PathBuf, time::Duration};

use natterjack_nats::{
    subjects::kv as keys,
    topology::Bucket,
    wire::{
        Channel::Fcm,
        FcmOs::{self, Android, Ios},
        PushOutcome::{self, Accepted, GivenUp, Gone, Retry},
        PushTarget,
    },
};
use serde_json::json;

use crate::{
    World, dm,
    fcm_server::{Failure, FcmServer, PROJECT},
    until,
    world::Notifier,
};

async fn start() -> anyhow::Result<(World, FcmServer, Notifier)> {
    let mut world = World::new().await?;
    let server = FcmServer::start(world.dir.path()).await?;
    world.args.fcm_credentials = Some(server.credentials.clone());
    world.args.fcm_url = server.url();
    let notifier = world.notifier().await?;
    Ok((world, server, notifier))
}

async fn tell(world: &World, number: u128, os: FcmOs) -> anyhow::Result<()> {
    world.register_fcm(number, &number.to_string(), os).await?;
    world.tell(Fcm, number, 100, 7).await
}

#[tokio::test]
async fn both_platforms_are_pushed_with_one_token() -> anyhow::Result<()> {
    let (world, server, notifier) = start().await?;
    for number in 1..=20 {
        tell(&world, number, if number % 2 == 0 { Android } else { Ios }).await?;
    }
    for number in 1..=20 {
        world.becomes(dm(number, 100), 7, Accepted).await?;
        assert_eq!(server.taken(&number.to_string()).len(), 1);
    }
    assert_eq!(server.grants(), (1, 1), "one for all, also for those at once");
    let android = &server.taken("2")[0];
    let notice: serde_json::Value = serde_json::from_str(android["data"]["notice"].as_str().unwrap())?;
    assert_eq!((&notice["type"], &notice["seq"]), (&json!("message"), &json!(7)));
    assert_eq!(
        (&notice["title"], &notice["body"]),
        (&json!("User 100"), &json!("text 7"))
    );
    assert_eq!(notice["conversation"], dm(2, 100).to_string());
    let ios = &server.taken("1")[0];
    assert_eq!(ios["apns"]["headers"]["apns-collapse-id"], dm(1, 100).to_string());
    // What was shown is taken back where that is allowed.
    for (number, os) in [(21, Android), (22, Ios)] {
        let token = number.to_string();
        world
            .register_as(number, PushTarget::Fcm { token, os }, true)
            .await?;
        world.withdraw(Fcm, number, 100, 7).await?;
        world.becomes(dm(number, 100), 7, Accepted).await?;
    }
    let bucket = world.jetstream.get_key_value(Bucket::Cluster.name()).await?;
    let project = bucket.get(keys::cluster::FCM).await?;
    assert_eq!(project.as_deref(), Some(PROJECT.as_bytes()));
    assert_eq!(server.wrong(), Vec::<String>::new());
    notifier.stop().await
}

#[tokio::test]
async fn every_documented_error_has_its_consequence() -> anyhow::Result<()> {
    let (world, server, notifier) = start().await?;
    let invalid = |message: &str| Failure::fcm_saying(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message);
    let too_big = invalid("Android message is too big");
    let no_token = invalid("The registration token is not a valid FCM registration token");
    let table: Vec<(Vec<Failure>, &[PushOutcome], bool)> = vec![
        (
            vec![Failure::fcm(404, "NOT_FOUND", "UNREGISTERED")],
            &[Gone],
            false,
        ),
        (vec![no_token], &[Gone], false),
        (vec![invalid("Invalid value at 'message.data'")], &[GivenUp], true),
        (
            vec![Failure::fcm(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")],
            &[GivenUp],
            true,
        ),
        (
            vec![Failure::fcm(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").after(1)],
            &[Retry, Accepted],
            true,
        ),
        (
            vec![Failure::fcm(503, "UNAVAILABLE", "UNAVAILABLE").after(1)],
            &[Retry, Accepted],
            true,
        ),
        (
            vec![Failure::fcm(500, "INTERNAL", "INTERNAL")],
            &[Retry, Accepted],
            true,
        ),
        (
            vec![Failure::fcm(500, "UNKNOWN", "UNSPECIFIED_ERROR")],
            &[Retry, Accepted],
            true,
        ),
        // Less is sent, and nobody notices.
        (vec![too_big.clone()], &[Accepted], true),
        (vec![too_big; 9], &[GivenUp], true),
    ];
    for (number, (failures, ..)) in (1..).zip(&table) {
        server.next(&number.to_string(), failures.clone());
        tell(&world, number, Android).await?;
    }
    for (number, (failures, expected, stays)) in (1..).zip(&table) {
        let became = world
            .becomes(dm(number, 100), 7, *expected.last().unwrap())
            .await?;
        let outcomes: Vec<_> = became.iter().map(|(outcome, _)| *outcome).collect();
        assert_eq!(outcomes, *expected, "{failures:?} {became:?}");
        assert_eq!(world.registered(number).await?.is_some(), *stays, "{failures:?}");
    }
    let shrunk = &server.taken("9")[0];
    let notice: serde_json::Value = serde_json::from_str(shrunk["data"]["notice"].as_str().unwrap())?;
    assert!(notice.get("body").is_none(), "{shrunk}");
    assert_eq!(world.dead().await?.pushes.len(), 3);
    assert_eq!(server.wrong(), Vec::<String>::new());
    notifier.stop().await
}

#[tokio::test]
async fn what_an_operator_must_mend_is_said_and_burns_nothing() -> anyhow::Result<()> {
    let (world, server, notifier) = start().await?;
    let alert = || notifier.metric("push_misconfigured", &["fcm"]);
    assert_eq!(alert(), Some(0.0));
    for (number, failure, advice) in [
        (
            1,
            Failure::fcm(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
            "APNs key",
        ),
        (2, Failure::fcm(403, "PERMISSION_DENIED", ""), "role"),
    ] {
        server.next(&number.to_string(), [failure]);
        tell(&world, number, Ios).await?;
        let became = world.becomes(dm(number, 100), 7, Retry).await?;
        assert!(became[0].1.contains(advice), "{became:?}");
        assert!(world.registered(number).await?.is_some());
    }
    until("an operator is told", async || {
        Ok((alert() == Some(1.0)).then_some(()))
    })
    .await?;
    // One whose user it does not concern is pushed meanwhile.
    tell(&world, 3, Android).await?;
    world.becomes(dm(3, 100), 7, Accepted).await?;
    world.becomes(dm(1, 100), 7, Accepted).await?;
    until("the alert is over", async || {
        Ok((alert() == Some(0.0)).then_some(()))
    })
    .await?;
    assert!(world.dead().await?.pushes.is_empty());
    notifier.stop().await
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once() -> anyhow::Result<()> {
    let (world, server, notifier) = start().await?;
    tell(&world, 1, Android).await?;
    world.becomes(dm(1, 100), 7, Accepted).await?;
    server.spoil();
    tell(&world, 2, Android).await?;
    let became = world.becomes(dm(2, 100), 7, Accepted).await?;
    assert_eq!(became.len(), 1, "with the new one at once: {became:?}");
    assert_eq!(server.grants(), (2, 2));
    // No token is taken at all.
    let (grants, requests) = (server.grants().1, server.requests());
    server.all(Some(Failure::fcm(401, "UNAUTHENTICATED", "")));
    tell(&world, 3, Android).await?;
    let became = world.becomes(dm(3, 100), 7, Retry).await?;
    assert!(became[0].1.contains("--fcm-credentials"), "{became:?}");
    assert_eq!((server.grants().1 - grants, server.requests() - requests), (1, 2));
    assert_eq!(server.wrong(), Vec::<String>::new());
    notifier.stop().await
}

#[tokio::test]
async fn tokens_are_renewed_early_and_used_while_that_fails() -> anyhow::Result<()> {
    let (world, server, notifier) = start().await?;
    // Less than five minutes: each is renewed with the next push.
    server.expires_in(200);
    for number in 1..=3 {
        tell(&world, number, Android).await?;
        world.becomes(dm(number, 100), 7, Accepted).await?;
    }
    assert_eq!(server.grants(), (3, 3));
    server.all_grants(Some(Failure::oauth(503, "temporarily_unavailable")));
    for number in 4..=8 {
        tell(&world, number, Android).await?;
        let became = world.becomes(dm(number, 100), 7, Accepted).await?;
        assert_eq!(became.len(), 1, "{became:?}");
    }
    let (granted, asked) = server.grants();
    assert_eq!(granted, 3);
    assert!((4..=6).contains(&asked), "not with each push: {asked}");
    notifier.stop().await
}

#[tokio::test]
async fn every_error_of_the_token_endpoint_has_its_consequence() -> anyhow::Result<()> {
    let (world, server, notifier) = start().await?;
    // It is away: soon again.
    server.next_grants([
        Failure::oauth(503, "temporarily_unavailable").after(1),
        Failure::oauth(500, "internal_failure"),
        Failure::oauth(429, "rate_limit_exceeded").after(1),
    ]);
    tell(&world, 1, Android).await?;
    let became = world.becomes(dm(1, 100), 7, Accepted).await?;
    assert_eq!(became.len(), 4, "{became:?}");
    notifier.stop().await?;
    // The rest only an operator can mend, and all says what to do.
    for (number, (status, error, advice)) in (2..).zip([
        (400, "invalid_grant", "clock"),
        (401, "invalid_client", "service account"),
        (401, "deleted_client", "service account"),
        (401, "disabled_client", "service account"),
        (401, "unauthorized_client", "service account"),
        (400, "invalid_scope", "role"),
        (400, "admin_policy_enforced", "administrator"),
        (403, "org_internal", "administrator"),
        (400, "unsupported_grant_type", "--fcm-credentials"),
        (400, "invalid_request", "--fcm-credentials"),
    ]) {
        let notifier = world.notifier().await?;
        let requests = server.requests();
        server.all_grants(Some(Failure::oauth(status, error)));
        tell(&world, number, Android).await?;
        let became = world.becomes(dm(number, 100), 7, Retry).await?;
        assert!(
            became[0].1.contains(error) && became[0].1.contains(advice),
            "{became:?}"
        );
        assert_eq!(server.requests(), requests, "FCM is not asked without a token");
        notifier.stop().await?;
    }
    assert_eq!(server.wrong(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn credentials_that_are_none_are_said_at_the_start() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    world.args.fcm_credentials = Some(PathBuf::from("/nowhere/key.json"));
    let started = tokio::time::timeout(Duration::from_secs(30), world.notifier()).await?;
    let error = started.err().expect("it does not start");
    assert!(format!("{error:#}").contains("--fcm-credentials"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn credentials_that_are_missed_are_an_alert() -> anyhow::Result<()> {
    let (mut world, _server, notifier) = start().await?;
    assert_eq!(notifier.metric("push_misconfigured", &["fcm"]), Some(0.0));
    notifier.stop().await?;
    // The options lost them, and devices still register.
    world.args.fcm_credentials = None;
    let notifier = world.notifier().await?;
    assert_eq!(notifier.metric("push_misconfigured", &["fcm"]), Some(1.0));
    notifier.stop().await
}
