//! Streams that were lost or went back, and databases that are older than the streams.

mod common;

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use common::{PATIENCE, World, text_content, until, user};
use natterjack_nats::{
    Conversation, UserId,
    provision::provision,
    services::history::{ReadPage, Sync},
    subjects::chat,
    topology::{self, Settings},
    wire::{HistoryQuery, Message, Stored},
};

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

    let persister = world.persister().await?;
    for ((other, conversation), head) in conversations.iter().zip(&heads) {
        let seq = world.text(*conversation, user(1), "after").await?;
        ensure!(seq > ERA && seq < ERA + 100, "{seq}");
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
    ensure!(seq > 2 * ERA && seq < 2 * ERA + 100, "{seq}");
    ensure!(world.count("select count(*) from dead_letters").await? == 0);
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
