//! Push services that are dead, in both ways that there are, beside one that lives.

use std::time::{Duration, Instant};

use natterjack_nats::wire::{
    Channel::WebPush,
    PushOutcome::{Accepted, Retry},
};

use crate::{Answer, PushServer, World, dm, until};

/// Devices at each of the dead: far more than are held in memory.
const CROWD: u128 = 600;
const LIVING: u128 = 40;
const HANGING: u128 = 1_000;
const REFUSING: u128 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_do_not_delay_the_living_nor_grow_memory() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let (alive, hangs, refuses) = (
        PushServer::start().await?,
        PushServer::start().await?,
        PushServer::start().await?,
    );
    hangs.always(Answer::Hang);
    refuses.stop();
    for number in 0..LIVING {
        world
            .register(number, &alive.endpoint(&number.to_string()))
            .await?;
    }
    for number in 0..CROWD {
        world.register(HANGING + number, &hangs.endpoint("x")).await?;
        world.register(REFUSING + number, &refuses.endpoint("x")).await?;
    }
    for number in 0..CROWD {
        world.tell(WebPush, HANGING + number, 100, 1).await?;
        world.tell(WebPush, REFUSING + number, 100, 1).await?;
    }
    let held_max = f64::from(world.args.in_flight_max) * 4.0;
    let mut slowest = Duration::ZERO;
    for number in 0..LIVING {
        let told = Instant::now();
        world.tell(WebPush, number, 100, 1).await?;
        until("the living one is pushed", async || {
            Ok((alive.asked().len() as u128 > number).then_some(()))
        })
        .await?;
        slowest = slowest.max(told.elapsed());
        let held = notifier.metric("push_held", &["webpush"]);
        assert!(held.is_some_and(|held| held <= held_max), "{held:?}");
    }
    // A request to the dead takes ten seconds to fail: nobody has waited for one.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    println!("the slowest of {LIVING} pushes to the living took {slowest:?}");
    until("both dead ones are left alone", async || {
        let paused = notifier.metric("push_origins_paused", &["webpush"]);
        Ok((paused == Some(2.0)).then_some(()))
    })
    .await?;
    // The most that one origin gets, and what came before it was known to hang.
    let places = usize::from(world.args.in_flight_max) / 4;
    assert!(hangs.asked().len() <= places * 3, "{}", hangs.asked().len());
    // Nothing was lost or given up.
    let (pending, unacked) = world.outstanding(WebPush).await?;
    assert_eq!(pending + unacked as u64, 2 * CROWD as u64);
    assert!(world.dead().await?.pushes.is_empty());
    notifier.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_answers_slowly_does_not_delay_the_living() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let (alive, drips) = (PushServer::start().await?, PushServer::start().await?);
    // Often enough that it is not taken for dead.
    drips.always(Answer::Drip(Duration::from_millis(900)));
    for number in 0..CROWD {
        world.register(HANGING + number, &drips.endpoint("x")).await?;
    }
    for number in 0..CROWD {
        world.tell(WebPush, HANGING + number, 100, 1).await?;
    }
    until("it drips", async || Ok((drips.asked().len() > 16).then_some(()))).await?;
    let held_max = f64::from(world.args.in_flight_max) * 4.0;
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let told = Instant::now();
        world
            .register(number, &alive.endpoint(&number.to_string()))
            .await?;
        world.tell(WebPush, number, 100, 1).await?;
        until("the living one is pushed", async || {
            Ok((alive.asked().len() as u128 > number).then_some(()))
        })
        .await?;
        slowest = slowest.max(told.elapsed());
        let held = notifier.metric("push_held", &["webpush"]);
        assert!(held.is_some_and(|held| held <= held_max), "{held:?}");
    }
    println!("the slowest of 10 pushes to the living took {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(world.dead().await?.pushes.is_empty());
    notifier.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_back_gets_what_it_missed() -> anyhow::Result<()> {
    let (world, notifier) = World::start().await?;
    let server = PushServer::start().await?;
    server.stop();
    for number in 0..20 {
        world
            .register(number, &server.endpoint(&number.to_string()))
            .await?;
        world.tell(WebPush, number, 100, 1).await?;
    }
    until("it is left alone", async || {
        let paused = notifier.metric("push_origins_paused", &["webpush"]);
        Ok((paused == Some(1.0)).then_some(()))
    })
    .await?;
    server.revive().await?;
    for number in 0..20 {
        let became = world.becomes(dm(number, 100), 1, Accepted).await?;
        assert!(
            became[..became.len() - 1]
                .iter()
                .all(|(outcome, _)| *outcome == Retry)
        );
        assert_eq!(server.asked_for(&number.to_string()).len(), 1);
    }
    world.settled(WebPush).await?;
    notifier.stop().await
}
