//! Databases that are older than what was acked, of a version before, or of another number of shards.

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use natterjack_nats::topology;

use crate::{
    common::{PATIENCE, World, until, user},
    everywhere, none_began_anew, take,
};

#[tokio::test]
async fn a_cluster_of_fewer_or_more_shards_is_refused() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (_, conversation) = everywhere(&world)[0];
    world.text(conversation, user(1), "before").await?;
    world.settled().await?;
    until("a mark is raised", async || {
        Ok(world.count("select max(head) from stream_marks").await? > 0)
    })
    .await?;
    persister.stop(PATIENCE).await?;
    let here = world.shards.count();
    let refuses = async |known: u16| {
        let refused = world.persister().await.err().context("it started")?;
        let words = [
            format!("a cluster with {known} shards"),
            format!("provisioned with {here}"),
            format!("--shards {known}`"),
        ];
        let refused = format!("{refused:#}");
        ensure!(words.iter().all(|words| refused.contains(words)), "{refused}");
        anyhow::Ok(())
    };
    for known in [here - 1, here + 1] {
        world
            .sql("update shards set count = $1", &[&i32::from(known)])
            .await?;
        refuses(known).await?;
    }

    // A database of the version before it was written down has marks.
    world.sql("delete from shards", &[]).await?;
    world
        .sql(
            "insert into stream_marks (name, head, floor) values ('CHAT_99', 7, 7)",
            &[],
        )
        .await?;
    refuses(here + 1).await?;
    world.sql("delete from shards", &[]).await?;
    world
        .sql("delete from stream_marks where name = 'CHAT_99'", &[])
        .await?;
    world.persister().await?.stop(PATIENCE).await?;
    let here = i64::from(here);
    ensure!(world.count("select count::bigint from shards").await? == here);
    Ok(())
}

#[tokio::test]
async fn what_was_acked_out_of_order_is_read_again() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (_, conversation) = everywhere(&world)[0];
    world.text(conversation, user(1), "1").await?;
    world.settled().await?;
    persister.stop(PATIENCE).await?;
    for number in 2..=6 {
        world.text(conversation, user(1), &format!("{number}")).await?;
    }
    // One persister has 2 and 3 and is not done, another has written and acked the others; then the backup of
    // before is put back.
    let mut taken = take(&world, topology::PERSISTER, &conversation, 5).await?;
    for message in taken.split_off(2) {
        message.double_ack().await.map_err(anyhow::Error::from_boxed)?;
    }
    let persister = world.persister().await?;
    ensure!(world.count("select count(*) from messages where seq > 3").await? == 3);
    for message in taken {
        let nak = jetstream::AckKind::Nak(None);
        message.ack_with(nak).await.map_err(anyhow::Error::from_boxed)?;
    }
    until("all is there", async || {
        Ok(world.count("select count(distinct seq) from messages").await? == 6)
    })
    .await?;
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn history_without_marks_is_not_taken_for_complete() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (_, conversation) = everywhere(&world)[0];
    for number in 0..20 {
        world.text(conversation, user(1), &format!("{number}")).await?;
    }
    world.settled().await?;
    persister.stop(PATIENCE).await?;
    // A backup of the version before the marks.
    world.sql("delete from messages where seq > 10", &[]).await?;
    world.sql("update conversations set head = 10", &[]).await?;
    world.sql("delete from stream_marks", &[]).await?;
    let persister = world.persister().await?;
    ensure!(world.count("select count(*) from messages").await? == 20);
    none_began_anew(&world).await?;
    persister.stop(PATIENCE).await
}
