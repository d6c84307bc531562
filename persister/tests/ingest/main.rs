//! From the streams into Postgres: order, copies, edits and deletions, poison, outages.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod outages;
mod poison;

use anyhow::ensure;
use common::{World, kind, text_content, user};
use natterjack_nats::{
    Conversation, MessageId,
    services::history::ReadPage,
    subjects::chat,
    wire::{Code, HistoryQuery, Kind, Stored, Void, WireError},
};

#[tokio::test]
async fn messages_are_written_once_in_order_with_their_conversation() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let mut sent = Vec::new();
    for number in 0..50 {
        let sender = if number % 2 == 0 { a } else { b };
        sent.push(world.text(dm, sender, &format!("text {number}")).await?);
    }
    world.settled().await?;
    let rows = world
        .sql(
            "select seq, text from messages where conversation = $1 order by seq",
            &[&dm.key()],
        )
        .await?;
    let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let expected: Vec<i64> = sent.iter().map(|seq| seq.cast_signed()).collect();
    ensure!(found == expected, "{found:?}");
    ensure!(rows[49].get::<_, &str>(1) == "text 49");
    let row = world
        .sql(
            "select head, shown, low, high, kind from conversations where key = $1",
            &[&dm.key()],
        )
        .await?;
    ensure!(row[0].get::<_, i64>(0) == expected[49] && row[0].get::<_, i64>(1) == expected[49]);
    ensure!(row[0].get::<_, uuid::Uuid>(2) == a.as_uuid() && row[0].get::<_, uuid::Uuid>(3) == b.as_uuid());
    ensure!(world.count("select count(*) from members").await? == 2);
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn redelivery_changes_nothing_and_a_copy_keeps_its_place() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let id = MessageId::generate(world.clock.now_ms());
    let stored = Stored::new(dm, id, a, 5, text_content("once"));
    let first = world.store(&stored).await?;
    let copy_in_batch = world.store(&stored).await?;
    world.settled().await?;
    let copy_later = world.store(&stored).await?;
    world.settled().await?;
    let rows = world
        .sql("select seq, kind, target, text from messages order by seq", &[])
        .await?;
    let facts: Vec<(i64, i16, Option<i64>, Option<String>)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    let (first, copies) = (
        first.cast_signed(),
        [copy_in_batch, copy_later].map(u64::cast_signed),
    );
    ensure!(
        facts
            == [
                (first, kind(Kind::Text), None, Some("once".into())),
                (copies[0], kind(Kind::Duplicate), Some(first), None),
                (copies[1], kind(Kind::Duplicate), Some(first), None),
            ],
        "{facts:?}"
    );
    ensure!(world.count("select head from conversations").await? == copies[1]);
    ensure!(world.count("select shown from conversations").await? == first);

    // All of it again: a new durable consumer starts from the beginning.
    persister.stop(common::PATIENCE).await?;
    forget_acks(&world).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 3);
    ensure!(world.count("select count(*) from dead_letters").await? == 0);
    persister.stop(common::PATIENCE).await
}

async fn forget_acks(world: &World) -> anyhow::Result<()> {
    use natterjack_nats::{provision, topology};
    for shard in world.shards.all() {
        let stream = world.jetstream.get_stream(topology::chat_stream(shard)).await?;
        stream.delete_consumer(topology::PERSISTER).await?;
    }
    let settings = topology::Settings {
        chat_bytes_max: 1 << 26,
        ..Default::default()
    };
    provision::provision(&world.jetstream, &settings, false).await?;
    Ok(())
}

/// `(text, edited, deleted)` of a message.
async fn state(world: &World, seq: u64) -> anyhow::Result<(Option<String>, Option<i64>, Option<i64>)> {
    let rows = world
        .sql(
            "select text, edited, deleted from messages where seq = $1",
            &[&seq.cast_signed()],
        )
        .await?;
    let row = rows.first().ok_or_else(|| anyhow::anyhow!("no message {seq}"))?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

#[tokio::test]
async fn refusals_are_part_of_no_history_and_hold_nothing_up() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let refused = Stored::new(dm, MessageId::generate(5), a, 5, text_content("refused"));
    let void = Void::of(&refused, 5, WireError::new(Code::NotFound, "no"));
    let (subject, payload) = (chat::void(world.shards.of(&dm)), serde_json::to_vec(&void)?);
    let mut seqs = Vec::new();
    for number in 0..3 {
        seqs.push(world.text(dm, a, &format!("text {number}")).await?);
        // Whatever it holds, and at the end of the stream too.
        for payload in [payload.clone(), b"garbage".to_vec()] {
            world
                .jetstream
                .publish(subject.clone(), payload.into())
                .await?
                .await?;
        }
        if number == 1 {
            world.settled().await?;
        }
    }
    // Once from the stream, once from Postgres.
    for _ in 0..2 {
        let request = ReadPage {
            user: a,
            member: false,
            query: HistoryQuery {
                conversation: dm,
                before: None,
                after: Some(0),
                around: None,
                at: None,
                limit: None,
            },
        };
        let page = world.call(&request).await?;
        let places: Vec<_> = page
            .messages
            .iter()
            .map(|message| (message.prev, message.seq))
            .collect();
        ensure!(
            places == [(0, seqs[0]), (seqs[0], seqs[1]), (seqs[1], seqs[2])],
            "{places:?}"
        );
        world.settled().await?;
    }
    ensure!(world.count("select count(*) from messages").await? == 3);
    ensure!(world.count("select count(*) from dead_letters").await? == 0);
    persister.stop(common::PATIENCE).await
}
