//! Streams that were lost or went back, and databases that are older than the streams.

#[path = "../common/mod.rs"]
mod common;
mod older;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use common::{PATIENCE, World, text_content, until, user};
use futures::TryStreamExt as _;
use natterjack_nats::{
    Conversation, UserId,
    provision::provision,
    services::history::{ReadPage, Sync},
    subjects::chat,
    topology::{self, Settings},
    wire::{HistoryQuery, Message, Stored},
};
use natterjack_runtime::lifecycle::Tasks;

const ERA: u64 = 1 << 40;

/// All messages of a conversation from a sequence on, as a client reads them.
async fn after(
    world: &World,
    reader: UserId,
    conversation: Conversation,
    seq: u64,
) -> anyhow::Result<Vec<Message>> {
    let query = HistoryQuery {
        after: Some(seq),
        ..serde_json::from_value(serde_json::json!({"conversation": conversation}))?
    };
    let page = ReadPage {
        user: reader,
        member: false,
        query,
    };
    Ok(world.call(&page).await?.messages)
}

/// One conversation in each shard.
fn everywhere(world: &World) -> Vec<(UserId, Conversation)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for number in 2..500 {
        let dm = Conversation::dm(user(1), user(number));
        if seen.insert(world.shards.of(&dm)) {
            found.push((user(number), dm));
        }
    }
    found
}

/// The sequence before the first that a stream gives which is lost today.
fn todays_era(world: &World) -> u64 {
    (world.clock.now_ms() - 1_767_225_600_000) / (24 * 3_600 * 1_000) * ERA
}

fn closed(world: &World) -> Settings {
    Settings {
        made_closed: true,
        ..world.settings.clone()
    }
}

async fn lose_streams(world: &World) -> anyhow::Result<()> {
    for shard in world.shards.all() {
        world
            .jetstream
            .delete_stream(topology::chat_stream(shard))
            .await?;
    }
    world.jetstream.delete_stream(topology::RECEIPTS).await?;
    Ok(())
}

/// Stores a text once the stream takes it.
async fn text_when_open(world: &World, conversation: Conversation, text: &str) -> anyhow::Result<u64> {
    let now = world.clock.now_ms();
    let id = natterjack_nats::MessageId::generate(now);
    let stored = Stored::new(conversation, id, user(1), now, text_content(text));
    let seq = std::sync::Mutex::new(None);
    until("the stream takes messages", async || {
        let stored = world.store(&stored).await.ok();
        *seq.lock().expect("alone") = stored;
        Ok(stored.is_some())
    })
    .await?;
    seq.into_inner()?.context("a sequence")
}

#[tokio::test]
async fn a_lost_stream_is_closed_until_it_counts_on_above_the_history() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let conversations = everywhere(&world);
    ensure!(conversations.len() == usize::from(world.shards.count()));
    let mut heads = Vec::new();
    for (_, conversation) in &conversations {
        world.text(*conversation, user(1), "before").await?;
        heads.push(world.text(*conversation, user(1), "the last before").await?);
    }
    world.settled().await?;
    let first = Sync {
        user: user(1),
        cursor: None,
        limit: 100,
    };
    let cursor = world.call(&first).await?.cursor;
    persister.stop(PATIENCE).await?;

    lose_streams(&world).await?;
    let report = provision(&world.jetstream, &closed(&world), false).await?;
    ensure!(
        report.closed.len() == usize::from(world.shards.count()),
        "{report:?}"
    );
    let again = provision(&world.jetstream, &closed(&world), true).await?;
    ensure!(
        again.drift.is_empty() && again.updated.is_empty() && again.closed == report.closed,
        "provisioning leaves a closed stream closed: {again:?}"
    );
    ensure!(
        world
            .text(conversations[0].1, user(1), "too early")
            .await
            .is_err(),
        "a closed stream took a message"
    );

    let era = todays_era(&world);
    let persister = world.persister().await?;
    for ((other, conversation), head) in conversations.iter().zip(&heads) {
        let seq = world.text(*conversation, user(1), "after").await?;
        ensure!(seq > era && seq < era + 100, "{seq}");
        let page = after(&world, *other, *conversation, *head).await?;
        ensure!(
            page.len() == 1 && page[0].seq == seq && page[0].prev == *head,
            "{page:?}"
        );
    }
    let on = Sync {
        user: user(1),
        cursor: Some(cursor),
        limit: 100,
    };
    let synced = world.call(&on).await?;
    ensure!(synced.messages.len() == conversations.len(), "{synced:?}");
    world.settled().await?;
    let all = after(&world, user(1), conversations[0].1, 0).await?;
    let texts: Vec<_> = all.iter().filter_map(|message| message.text.as_deref()).collect();
    ensure!(texts == ["before", "the last before", "after"], "{all:?}");

    // Once more, under a persister that runs.
    lose_streams(&world).await?;
    provision(&world.jetstream, &closed(&world), false).await?;
    let seq = text_when_open(&world, conversations[0].1, "once more").await?;
    ensure!(seq > era + ERA && seq < era + ERA + 100, "{seq}");
    ensure!(world.count("select count(*) from dead_letters").await? == 0);
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn an_era_can_be_begun_by_hand() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (_, conversation) = everywhere(&world)[0];
    world.persister().await?.stop(PATIENCE).await?;
    let page = include_str!("../../../docs/decisions/a-stream-begins-where-history-ends.md");
    let (_, statement) = page.split_once("```sql\n").context("a statement")?;
    let (statement, _) = statement.split_once("```").context("its end")?;
    world.sql(statement, &[]).await?;
    lose_streams(&world).await?;
    provision(&world.jetstream, &closed(&world), false).await?;
    let persister = world.persister().await?;
    let seq = world.text(conversation, user(1), "above").await?;
    ensure!(seq > todays_era(&world) + 10 * ERA, "{seq}");
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_new_cluster_counts_from_one() -> anyhow::Result<()> {
    let world = World::start().await?;
    lose_streams(&world).await?;
    provision(&world.jetstream, &closed(&world), false).await?;
    let persister = world.persister().await?;
    let (_, conversation) = everywhere(&world)[0];
    ensure!(world.text(conversation, user(1), "first").await? == 1);
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_stream_that_went_back_is_read_then_counts_on() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let conversations = everywhere(&world);
    let (_, known) = conversations[0];
    for number in 0..20 {
        world.text(known, user(1), &format!("{number}")).await?;
    }
    world.settled().await?;
    persister.stop(PATIENCE).await?;

    // As a snapshot that somebody put back while nobody looked: open, and behind.
    lose_streams(&world).await?;
    provision(&world.jetstream, &world.settings, false).await?;
    let another = (2..)
        .map(|number| Conversation::dm(user(number), user(number + 1_000)))
        .find(|dm| world.shards.of(dm) == world.shards.of(&known))
        .context("there is one")?;
    let Conversation::Dm(dm) = another else {
        unreachable!("it is one")
    };
    let early = world.text(another, dm.low(), "between").await?;
    ensure!(early == 1);
    let persister = world.persister().await?;
    // It is not emptied before the notifier has read it.
    let notified = take(&world, topology::NOTIFIER, &known, 1).await?;
    ensure!(notified[0].payload.windows(7).any(|part| part == b"between"));
    for message in notified {
        message.double_ack().await.map_err(anyhow::Error::from_boxed)?;
    }
    let seq = text_when_open_above(&world, known).await?;
    ensure!(seq > ERA, "{seq}");
    let kept = after(&world, dm.low(), another, 0).await?;
    ensure!(
        kept.len() == 1 && kept[0].text.as_deref() == Some("between"),
        "{kept:?}"
    );
    ensure!(after(&world, user(1), known, 0).await?.len() >= 21);
    persister.stop(PATIENCE).await
}

/// Stores texts until one has a place in the new era.
async fn text_when_open_above(world: &World, conversation: Conversation) -> anyhow::Result<u64> {
    let shard = world.shards.of(&conversation);
    until("the stream counts on", async || {
        let stream = world.jetstream.get_stream(topology::chat_stream(shard)).await?;
        let info = stream.cached_info();
        Ok(info.state.last_sequence >= ERA && info.config.subjects == [chat::wildcard(shard)])
    })
    .await?;
    world.text(conversation, user(1), "above").await
}

#[tokio::test]
async fn a_database_that_lost_everything_is_filled_from_the_streams() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (_, conversation) = everywhere(&world)[0];
    for number in 0..700 {
        world.text(conversation, user(1), &format!("{number}")).await?;
    }
    world.settled().await?;
    until("the mark is raised", async || {
        Ok(world.count("select max(floor) from stream_marks").await? == 700)
    })
    .await?;
    let whole =
        "select md5(string_agg(seq || ' ' || client_id || ' ' || text, ',' order by seq)) from messages";
    let before: String = world.sql(whole, &[]).await?[0].get(0);
    persister.stop(PATIENCE).await?;

    world.sql("delete from messages where seq > 300", &[]).await?;
    world
        .sql(
            "update stream_marks set head = 300, floor = 250 where floor > 0",
            &[],
        )
        .await?;
    let persister = world.persister().await?;
    ensure!(world.sql(whole, &[]).await?[0].get::<_, String>(0) == before);
    persister.stop(PATIENCE).await?;

    world.sql("delete from messages", &[]).await?;
    world.sql("delete from conversations", &[]).await?;
    world.sql("delete from stream_marks", &[]).await?;
    let persister = world.persister().await?;
    ensure!(world.sql(whole, &[]).await?[0].get::<_, String>(0) == before);

    // Under a persister that runs, as when a replica takes over that lagged.
    let (client, connection) = world.connect().await?;
    client
        .batch_execute(
            "begin; delete from messages where seq > 650; \
             update stream_marks set head = 650, floor = 650 where floor > 650; commit",
        )
        .await?;
    drop(client);
    connection.await??;
    until("what is missing was read again", async || {
        Ok(world.sql(whole, &[]).await?[0].get::<_, String>(0) == before)
    })
    .await?;
    persister.stop(PATIENCE).await
}

/// That no stream was closed, nor counts from another era.
async fn none_began_anew(world: &World) -> anyhow::Result<()> {
    for shard in world.shards.all() {
        let stream = world.jetstream.get_stream(topology::chat_stream(shard)).await?;
        let info = stream.cached_info();
        ensure!(info.state.last_sequence < ERA && info.config.subjects == [chat::wildcard(shard)]);
    }
    Ok(())
}

#[tokio::test]
async fn a_persister_that_starts_beside_a_busy_one_closes_nothing() -> anyhow::Result<()> {
    let world = World::start().await?;
    let conversations = everywhere(&world);
    let mut few = world.args.clone();
    few.database.connections_max = 3;
    let beside = Tasks::new();
    let busy = world.persister().await?;
    let starts = async {
        for _ in 0..8 {
            natterjack_persister::run(&few, &beside).await?;
        }
        anyhow::Ok(())
    };
    let load = conversations.iter().map(|(_, conversation)| async {
        loop {
            world.text(*conversation, user(1), "busy").await?;
        }
        #[expect(unreachable_code, reason = "it says what the errors are")]
        anyhow::Ok(())
    });
    tokio::select! {
        started = starts => started?,
        stored = futures::future::try_join_all(load) => {
            stored?;
        }
    }
    none_began_anew(&world).await?;
    let (beside, busy) = tokio::join!(beside.stop(PATIENCE), busy.stop(PATIENCE));
    beside.and(busy)
}

#[tokio::test]
async fn a_stream_that_is_behind_for_a_moment_is_not_closed() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.persister().await?.stop(PATIENCE).await?;
    let (_, conversation) = everywhere(&world)[0];
    // As a leader that was elected just now and has not applied everything.
    let stream = topology::chat_stream(world.shards.of(&conversation));
    world
        .sql(
            "update stream_marks set head = 5, floor = 5 where name = $1",
            &[&stream],
        )
        .await?;
    let catches_up = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        for _ in 0..5 {
            world.text(conversation, user(1), "late").await?;
        }
        anyhow::Ok(())
    };
    let (persister, ()) = tokio::try_join!(world.persister(), catches_up)?;
    none_began_anew(&world).await?;
    persister.stop(PATIENCE).await
}

/// Takes messages of a conversation's shard, as a role does.
async fn take(
    world: &World,
    role: &str,
    conversation: &Conversation,
    count: usize,
) -> anyhow::Result<Vec<jetstream::Message>> {
    let stream = topology::chat_stream(world.shards.of(conversation));
    let consumer: jetstream::consumer::PullConsumer =
        world.jetstream.get_consumer_from_stream(role, &stream).await?;
    let batch = consumer
        .batch()
        .max_messages(count)
        .expires(PATIENCE)
        .messages()
        .await?;
    let taken: Vec<_> = batch.try_collect().await.map_err(anyhow::Error::from_boxed)?;
    ensure!(taken.len() == count);
    Ok(taken)
}
