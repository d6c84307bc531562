//! Receipts with real servers.

mod common;

use anyhow::{Context as _, ensure};
use common::{PATIENCE, World, until, user};
use natterjack_nats::{
    Conversation, GroupId, subjects,
    wire::{Cursor, ReceiptBatch, ReceiptOf},
};

async fn receipt(world: &World, receipts: Vec<ReceiptOf>) -> anyhow::Result<()> {
    let shard = world.shards.all().next().context("one")?;
    let payload = serde_json::to_vec(&ReceiptBatch { receipts })?;
    let subject = subjects::receipt::subject(shard);
    world.jetstream.publish(subject, payload.into()).await?.await?;
    Ok(())
}

#[tokio::test]
async fn receipts_only_rise_and_read_implies_delivered() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let me = user(1);
    let conversation = Conversation::dm(me, user(2));
    let of = |delivered, read| ReceiptOf {
        conversation,
        user: me,
        cursor: Cursor { delivered, read },
        foreground: 0,
    };
    world.text(conversation, me, "x").await?;
    receipt(&world, vec![of(5, 0), of(3, 7)]).await?;
    receipt(&world, vec![of(6, 2)]).await?;
    world.settled().await?;
    receipt(&world, vec![of(1, 1), of(9, 0)]).await?;
    let bad = subjects::receipt::subject(world.shards.all().next().context("one")?);
    world.jetstream.publish(bad, "{}".into()).await?.await?;
    world.settled().await?;
    let rows = world.sql("select delivered, read from cursors", &[]).await?;
    ensure!(rows.len() == 1);
    ensure!((rows[0].get::<_, i64>(0), rows[0].get::<_, i64>(1)) == (9, 7));
    ensure!(world.count("select count(*) from dead_letters").await? == 1);
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn only_who_is_in_a_conversation_has_a_cursor() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (me, peer, group) = (user(1), user(2), GroupId::from_parts(1, 1));
    let dm = Conversation::dm(me, peer);
    let shard = world.shards.of(&dm);
    let of = |conversation, user| ReceiptOf {
        conversation,
        user,
        cursor: Cursor {
            delivered: 1,
            read: 1,
        },
        foreground: 0,
    };
    // The receipt overtakes the first message, which waits for the shard.
    let (holder, held) = world.connect().await?;
    let at = i32::try_from(shard.index())?;
    holder
        .query("select pg_advisory_lock(x'6e617474'::int, $1)", &[&at])
        .await?;
    world.text(dm, me, "x").await?;
    let invented = (100..120).map(|peer| of(Conversation::dm(me, user(peer)), me));
    let others = [
        of(Conversation::Group(group), me),
        of(Conversation::User(me), me),
        of(Conversation::User(peer), me),
        of(dm, user(3)),
        of(dm, peer),
    ];
    receipt(&world, invented.chain(others).collect()).await?;
    until("the receipt is written", async || {
        Ok(world.count("select count(*) from cursors").await? > 0)
    })
    .await?;
    ensure!(world.count("select count(*) from messages").await? == 0);
    drop(holder);
    held.await??;
    world.settled().await?;
    let rows = world
        .sql("select conversation, user_id from cursors", &[])
        .await?;
    let mut rows: Vec<(uuid::Uuid, uuid::Uuid)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    rows.sort_unstable();
    let mut expected = [
        (dm.key(), peer.as_uuid()),
        (Conversation::User(me).key(), me.as_uuid()),
    ];
    expected.sort_unstable();
    ensure!(rows == expected, "{rows:?}");
    persister.stop(PATIENCE).await
}
