//! Postgres and NATS may go away, and persisters share the work.

use anyhow::ensure;
use natterjack_nats::Conversation;

use crate::{
    changes::edit,
    common::{self, World, until, user},
    state,
};

#[tokio::test]
async fn postgres_may_go_away_and_come_back() -> anyhow::Result<()> {
    let world = World::alone().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    world.text(dm, a, "before").await?;
    world.settled().await?;
    world.postgres().kill().await;
    let mut last = 0;
    for number in 0..100 {
        last = world.text(dm, a, &format!("during {number}")).await?;
    }
    world.postgres().restart().await?;
    until("all is written", async || {
        Ok(world.count("select count(*) from messages").await? == 101)
    })
    .await?;
    world.settled().await?;
    ensure!(world.count("select head from conversations").await? == last.cast_signed());
    ensure!(world.count("select count(*) from dead_letters").await? == 0);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn two_persisters_write_everything_once() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    world.args.ingest_batch_max = 7;
    let persisters = [world.persister().await?, world.persister().await?];
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let mut edits = Vec::new();
    for number in 0..60 {
        let target = world.text(dm, a, &format!("text {number}")).await?;
        edits.push((target, world.say(dm, a, edit(target, "edited")).await?));
    }
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 120);
    for (target, edit) in edits {
        ensure!(state(&world, target).await? == (Some("edited".into()), Some(edit.cast_signed()), None));
    }
    for persister in persisters {
        persister.stop(common::PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn nats_may_go_away_and_come_back() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let dm = Conversation::dm(user(1), user(2));
    world.text(dm, user(1), "before").await?;
    world.settled().await?;
    world.nats.kill().await;
    world.nats.restart().await?;
    until("a send is taken again", async || {
        Ok(world.text(dm, user(1), "after").await.is_ok())
    })
    .await?;
    until("it is written", async || {
        Ok(world.count("select count(*) from messages").await? >= 2)
    })
    .await?;
    persister.stop(common::PATIENCE).await
}
