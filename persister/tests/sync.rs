//! Sync, watermarks and trimming with real servers.

mod common;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use common::{PATIENCE, World, until, user};
use natterjack_nats::{
    Conversation, GroupId, UserId,
    services::history::Sync,
    topology,
    wire::{Code, Content, Message},
};
use natterjack_persister::{Shared, db::Db, recent::Recent, trim, watermarks::Watermarks};
use natterjack_runtime::{clock::Clock, metrics::Metrics};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

async fn sync_all(
    world: &World,
    user: UserId,
    cursor: Vec<u64>,
    limit: usize,
) -> anyhow::Result<(Vec<Message>, Vec<u64>)> {
    let (mut cursor, mut all) = (cursor, Vec::new());
    loop {
        let request = Sync {
            user,
            cursor: Some(cursor),
            limit,
        };
        let synced = world.call(&request).await?;
        ensure!(synced.messages.len() <= limit);
        all.extend(synced.messages);
        cursor = synced.cursor;
        if !synced.more {
            return Ok((all, cursor));
        }
    }
}

async fn present(world: &World, user: UserId) -> anyhow::Result<Vec<u64>> {
    let request = Sync {
        user,
        cursor: None,
        limit: 10,
    };
    let synced = world.call(&request).await?;
    ensure!(synced.messages.is_empty());
    Ok(synced.cursor)
}

#[tokio::test]
async fn every_message_is_delivered_once_and_in_order() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let me = user(1);
    let group = GroupId::from_parts(1, 1);
    let sql = "insert into members (conversation, user_id, role, joined_at) values ($1, $2, 0, 0)";
    world.sql(sql, &[&group.as_uuid(), &me.as_uuid()]).await?;
    let sql = "insert into conversations (key, kind) values ($1, 1)";
    world.sql(sql, &[&group.as_uuid()]).await?;
    let mine: Vec<Conversation> = (2..8)
        .map(|peer| Conversation::dm(me, user(peer)))
        .chain([
            Conversation::Group(group),
            Conversation::User(me),
            Conversation::dm(me, me),
        ])
        .collect();
    let others = [
        Conversation::dm(user(2), user(3)),
        Conversation::Group(GroupId::from_parts(2, 2)),
        Conversation::User(user(2)),
    ];
    let mut random = StdRng::seed_from_u64(3);
    let mut expected = BTreeMap::<Conversation, Vec<u64>>::new();
    let mut got = BTreeMap::<Conversation, Vec<u64>>::new();
    let mut cursor = present(&world, me).await?;
    for round in 0..8 {
        for _ in 0..random.random_range(0..30) {
            let to = mine[random.random_range(0..mine.len())];
            expected
                .entry(to)
                .or_default()
                .push(world.text(to, me, "x").await?);
            world
                .text(others[random.random_range(0..others.len())], user(2), "y")
                .await?;
        }
        if round % 3 == 2 {
            world.settled().await?;
        }
        let limit = random.random_range(1..20);
        let (messages, next) = sync_all(&world, me, cursor, limit).await?;
        for message in messages {
            let seen = got.entry(message.conversation).or_default();
            ensure!(
                message.prev == seen.last().copied().unwrap_or_default(),
                "{message:?} after {seen:?}"
            );
            seen.push(message.seq);
        }
        ensure!(got == expected, "round {round}");
        cursor = next;
    }
    // From Postgres alone, with more conversations than a page has messages.
    world.settled().await?;
    for limit in [1, 3] {
        let start = vec![0; world.shards.count().into()];
        let (messages, _) = sync_all(&world, me, start, limit).await?;
        let mut again = BTreeMap::<Conversation, Vec<u64>>::new();
        for message in messages {
            again.entry(message.conversation).or_default().push(message.seq);
        }
        ensure!(again == expected, "limit {limit}");
    }
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_group_joined_during_a_sync_is_not_skipped() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let me = user(1);
    let dm = Conversation::dm(me, user(2));
    let group = (1..)
        .map(|n| GroupId::from_parts(1, n))
        .find(|group| world.shards.of(&Conversation::Group(*group)) == world.shards.of(&dm))
        .context("one of them")?;
    let sql = "insert into conversations (key, kind) values ($1, 1)";
    world.sql(sql, &[&group.as_uuid()]).await?;
    let cursor = present(&world, me).await?;
    let mut sent = vec![world.text(dm, me, "in Postgres").await?];
    world.settled().await?;
    // The sync has read the groups and waits for the messages; meanwhile the user joins one.
    let (holder, held) = world.connect().await?;
    holder
        .batch_execute("begin; lock table messages in access exclusive mode")
        .await?;
    let sync = sync_all(&world, me, cursor, 50);
    let join = async {
        until("the sync waits", async || {
            let sql = "select count(*) from pg_locks where not granted and relation = 'messages'::regclass";
            Ok(world.count(sql).await? > 0)
        })
        .await?;
        let sql = "insert into members (conversation, user_id, role, joined_at) values ($1, $2, 0, 0)";
        world.sql(sql, &[&group.as_uuid(), &me.as_uuid()]).await?;
        sent.push(world.text(Conversation::Group(group), user(2), "welcome").await?);
        sent.push(world.text(dm, me, "in the stream").await?);
        holder.batch_execute("commit").await?;
        anyhow::Ok(())
    };
    let ((messages, _), ()) = futures::try_join!(sync, join)?;
    drop(holder);
    held.await??;
    let got: Vec<u64> = messages.iter().map(|message| message.seq).collect();
    ensure!(got == sent, "{got:?} of {sent:?}");
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_sync_far_behind_delivers_more_than_it_holds() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let me = user(1);
    let cursor = present(&world, me).await?;
    // Nothing is written as long as somebody else has the shards.
    let (holder, held) = world.connect().await?;
    for shard in world.shards.all() {
        let shard = i32::try_from(shard.index())?;
        holder
            .query("select pg_advisory_lock(x'6e617474'::int, $1)", &[&shard])
            .await?;
    }
    let text = "x".repeat(400_000);
    let mut expected = BTreeMap::<Conversation, Vec<u64>>::new();
    for _ in 0..2 {
        for peer in 2..8 {
            let to = Conversation::dm(me, user(peer));
            let seq = world.text(to, me, &text).await?;
            expected.entry(to).or_default().push(seq);
        }
    }
    let (messages, _) = sync_all(&world, me, cursor, 50).await?;
    ensure!(world.count("select count(*) from messages").await? == 0);
    let mut got = BTreeMap::<Conversation, Vec<u64>>::new();
    for message in messages {
        got.entry(message.conversation).or_default().push(message.seq);
    }
    ensure!(got == expected);
    drop(holder);
    held.await??;
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_sync_shows_the_current_state_and_refuses_a_foreign_cursor() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (me, peer) = (user(1), user(2));
    let dm = Conversation::dm(me, peer);
    let cursor = present(&world, me).await?;
    let target = world.text(dm, peer, "one").await?;
    world.settled().await?;
    let edit = Content::Edit {
        target,
        text: "two".into(),
    };
    world.say(dm, peer, edit).await?;
    let (messages, after) = sync_all(&world, me, cursor, 50).await?;
    ensure!(
        messages.len() == 2 && messages[0].text.as_deref() == Some("two"),
        "{messages:?}"
    );
    ensure!(sync_all(&world, me, after.clone(), 50).await?.0.is_empty());
    // Now the present covers all that was sent.
    ensure!(
        sync_all(&world, me, present(&world, me).await?, 50)
            .await?
            .0
            .is_empty()
    );
    let request = Sync {
        user: me,
        cursor: Some(vec![1]),
        limit: 5,
    };
    ensure!(world.call(&request).await.expect_err("one shard only").code == Code::BadRequest);
    persister.stop(PATIENCE).await
}

async fn shared(world: &World, clock: Clock) -> anyhow::Result<Shared> {
    let metrics = Metrics::new("test");
    let watermarks = Watermarks::new(world.shards);
    Ok(Shared {
        db: Db::open(&world.args.database_url, 4, &metrics).await?,
        client: world.client.clone(),
        jetstream: world.jetstream.clone(),
        shards: world.shards,
        recent: Recent::new(&world.client, world.shards, &watermarks),
        watermarks,
        clock,
        metrics,
    })
}

#[tokio::test]
async fn a_watermark_is_never_ahead_of_postgres() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    world.args.ingest_batch_max = 3;
    let persisters = [world.persister().await?, world.persister().await?];
    let (me, peer) = (user(1), user(2));
    let dm = Conversation::dm(me, peer);
    let shard = world.shards.of(&dm);
    let shared = shared(&world, Clock::system()).await?;
    let mut sent = Vec::new();
    let mut watermark = 0;
    for _ in 0..60 {
        sent.push(world.text(dm, me, "x").await?);
        shared.watermarks.refresh(&world.jetstream, world.shards).await?;
        watermark = shared.watermarks.of(shard);
        let sql = "select count(*) from messages where seq <= $1";
        let written: i64 = world.sql(sql, &[&watermark.cast_signed()]).await?[0].get(0);
        let below = sent.iter().filter(|seq| **seq <= watermark).count();
        ensure!(
            usize::try_from(written)? == below,
            "{written} of {below} at {watermark}"
        );
    }
    world.settled().await?;
    until("the watermark reaches the head", async || {
        shared.watermarks.refresh(&world.jetstream, world.shards).await?;
        Ok(Some(&shared.watermarks.of(shard)) == sent.last())
    })
    .await?;
    ensure!(watermark <= shared.watermarks.of(shard));
    for persister in persisters {
        persister.stop(PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn streams_are_trimmed_to_the_watermark_and_the_window() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (me, peer) = (user(1), user(2));
    let dm = Conversation::dm(me, peer);
    let shard = world.shards.of(&dm);
    for _ in 0..10 {
        world.text(dm, me, "x").await?;
    }
    world.settled().await?;
    persister.stop(PATIENCE).await?;
    // Not in Postgres, whatever its age.
    let unwritten = world.text(dm, me, "y").await?;

    let (clock, hand) = Clock::manual(Clock::system().now_ms());
    let shared = shared(&world, clock).await?;
    shared.watermarks.refresh(&world.jetstream, world.shards).await?;
    let watermarks = shared.watermarks.all();
    ensure!(watermarks[shard.index()] == unwritten - 1);
    let first = async || -> anyhow::Result<u64> {
        let stream: jetstream::stream::Stream =
            world.jetstream.get_stream(topology::chat_stream(shard)).await?;
        Ok(stream.cached_info().state.first_sequence)
    };
    let window = Duration::from_hours(1);
    trim::round(&shared, window, &watermarks).await;
    ensure!(first().await? == 1, "all of it is young");
    hand.advance(Duration::from_hours(2));
    trim::round(&shared, window, &vec![4; watermarks.len()]).await;
    ensure!(first().await? == 5, "nothing beyond the watermark goes");
    trim::round(&shared, window, &watermarks).await;
    ensure!(first().await? == unwritten);

    // A page reads across the edge of what the stream still holds.
    let persister = world.persister().await?;
    let page = natterjack_nats::services::history::ReadPage {
        user: me,
        member: true,
        query: natterjack_nats::wire::HistoryQuery {
            conversation: dm,
            before: None,
            after: Some(0),
            around: None,
            at: None,
            limit: None,
        },
    };
    ensure!(world.call(&page).await?.messages.len() == 11);
    persister.stop(PATIENCE).await
}
