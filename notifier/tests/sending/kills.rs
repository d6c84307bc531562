//! A notifier that is killed, and nats-server that is, in the middle of everything.

use std::{collections::BTreeMap, time::Duration};

use natterjack_nats::wire::Channel::WebPush;

use crate::{PushServer, World, until};

const PUSHES: u128 = 400;
/// Instead of a minute.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// How often each device was told.
fn told(server: &PushServer) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for asked in server.asked() {
        *told.entry(asked.path).or_default() += usize::from(asked.taken);
    }
    told
}

async fn crowd(world: &World, server: &PushServer) -> anyhow::Result<()> {
    world.hurry(WebPush, ACK_WAIT).await?;
    server.takes(Duration::from_millis(50));
    for number in 0..PUSHES {
        world
            .register(number, &server.endpoint(&number.to_string()))
            .await?;
        world.tell(WebPush, number, 1_000, 1).await?;
    }
    Ok(())
}

async fn some_are_told(server: &PushServer, count: usize) -> anyhow::Result<()> {
    let what = format!("{count} are told");
    until(&what, async || Ok((told(server).len() >= count).then_some(()))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_notifier_held_another_one_pushes() -> anyhow::Result<()> {
    let world = World::new().await?;
    let server = PushServer::start().await?;
    crowd(&world, &server).await?;
    let doomed = world.notifier().await?;
    some_are_told(&server, 60).await?;
    doomed.kill().await;
    assert!(told(&server).len() < PUSHES as usize, "it was not in the middle");
    let second = world.notifier().await?;
    world.settled(WebPush).await?;
    let told = told(&server);
    assert_eq!(told.len(), PUSHES as usize);
    let doubles: usize = told.values().map(|times| times - 1).sum();
    println!("{doubles} of {PUSHES} were pushed twice");
    // Only those whose answers were under way.
    assert!(doubles <= usize::from(world.args.in_flight_max) / 4, "{doubles}");
    second.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_that_is_killed_loses_nothing_and_doubles_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let server = PushServer::start().await?;
    crowd(&world, &server).await?;
    let notifier = world.notifier().await?;
    some_are_told(&server, 60).await?;
    world.nats.kill().await;
    world.nats.restart().await?;
    some_are_told(&server, PUSHES as usize).await?;
    world.settled(WebPush).await?;
    let doubles: usize = told(&server).values().map(|times| times - 1).sum();
    assert_eq!(doubles, 0, "one that was taken and not confirmed is remembered");
    notifier.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_was_begun_and_hands_back_the_rest() -> anyhow::Result<()> {
    let world = World::new().await?;
    let server = PushServer::start().await?;
    crowd(&world, &server).await?;
    // The ack wait of production: who waited for it here would be noticed.
    world.hurry(WebPush, Duration::from_secs(600)).await?;
    let first = world.notifier().await?;
    some_are_told(&server, 60).await?;
    first.stop().await?;
    let second = world.notifier().await?;
    world.settled(WebPush).await?;
    let told = told(&server);
    assert_eq!(told.len(), PUSHES as usize);
    assert!(told.values().all(|times| *times == 1), "{told:?}");
    second.stop().await
}
