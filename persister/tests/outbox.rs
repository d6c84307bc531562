//! The outbox against real servers: what a committed change owes is told once and in order,
//! whoever died or was away meanwhile.

mod common;

use anyhow::ensure;
use common::{World, until};
use natterjack_nats::{
    Conversation, GroupId, MessageId,
    services::history::LookUp,
    subjects,
    topology::{Settings, streams},
    wire::{Code, Content, Event, Stored},
};

const CONVERSATION: Conversation = Conversation::Group(GroupId::from_parts(1, 1));

async fn events(world: &World, conversation: Conversation) -> anyhow::Result<Vec<Event>> {
    let rows = world
        .sql(
            "select event::text from messages where conversation = $1 and kind = 3 order by seq",
            &[&conversation.key()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(serde_json::from_str(row.get(0))?))
        .collect()
}

/// Five events as a change of a group leaves them.
async fn owed(world: &World) -> anyhow::Result<Vec<Stored>> {
    let mut events = Vec::new();
    for number in 0..5 {
        let (now, title) = (world.clock.now_ms(), format!("title {number}"));
        let event = Content::Event(Event::Renamed { title });
        let id = MessageId::generate(now);
        let stored = Stored::new(CONVERSATION, id, common::user(1), now, event);
        let payload = serde_json::to_vec(&stored)?;
        let insert = "insert into outbox (payload) values ($1)";
        world.sql(insert, &[&payload]).await?;
        events.push(stored);
    }
    Ok(events)
}

async fn drained(world: &World) -> anyhow::Result<()> {
    let empty = async || Ok(world.count("select count(*) from outbox").await? == 0);
    until("the outbox is empty", empty).await?;
    world.settled().await
}

/// A persister that published an event and died before it took the row away.
#[tokio::test]
async fn an_interrupted_drain_tells_nothing_twice() -> anyhow::Result<()> {
    let world = World::start().await?;
    for config in streams(&Settings::default())
        .into_iter()
        .filter(|config| config.name.starts_with("CHAT_"))
    {
        world.jetstream.update_stream(config).await?;
    }
    // Once for the schema.
    world.persister().await?.stop(common::PATIENCE).await?;
    let owed = owed(&world).await?;
    for stored in &owed[..2] {
        let subject = subjects::chat::subject(world.shards, &CONVERSATION);
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", stored.nats_msg_id());
        let payload = serde_json::to_vec(stored)?.into();
        let ack = world
            .jetstream
            .publish_with_headers(subject, headers, payload)
            .await?;
        ack.await?;
    }
    world
        .sql("insert into outbox (payload) values ('garbage')", &[])
        .await?;
    let (one, two) = (world.persister().await?, world.persister().await?);
    drained(&world).await?;
    let expected: Vec<Event> = owed.into_iter().filter_map(|stored| stored.event).collect();
    ensure!(events(&world, CONVERSATION).await? == expected);
    ensure!(
        world.count("select count(*) from messages").await? == 5,
        "and nothing else"
    );
    ensure!(
        world
            .count("select count(*) from dead_letters where stream = 'outbox'")
            .await?
            == 1
    );
    one.stop(common::PATIENCE).await?;
    two.stop(common::PATIENCE).await
}

#[tokio::test]
async fn rows_wait_while_nats_is_away() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    world.nats.stop().await;
    let owed = owed(&world).await?;
    let until_tried = world.clock.now_ms() + 1_500;
    until("a drain was tried", async || {
        Ok(world.clock.now_ms() > until_tried)
    })
    .await?;
    ensure!(world.count("select count(*) from outbox").await? == 5);
    world.nats.restart().await?;
    drained(&world).await?;
    let expected: Vec<Event> = owed.into_iter().filter_map(|stored| stored.event).collect();
    ensure!(events(&world, CONVERSATION).await? == expected);
    persister.stop(common::PATIENCE).await
}

/// A stream that cannot take the event of a removal may yet show, after its restart, what was sent
/// before it.
#[tokio::test]
async fn who_is_no_member_is_told_no_once_nothing_is_owed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (held, connection) = world.connect().await?;
    held.batch_execute("begin; select pg_advisory_xact_lock(hashtextextended('natterjack.outbox', 0))")
        .await?;
    owed(&world).await?;
    let sender = common::user(1);
    let ask = async |conversation| {
        let id = MessageId::generate(1);
        world
            .call(&LookUp {
                conversation,
                sender,
                id,
            })
            .await
    };
    let error = ask(CONVERSATION).await.expect_err("events are owed");
    ensure!(error.code == Code::Unavailable && error.retryable, "{error}");
    let dm = Conversation::dm(sender, common::user(2));
    ensure!(ask(dm).await?.is_none(), "nobody is removed from a 1:1 chat");
    held.batch_execute("rollback").await?;
    drained(&world).await?;
    ensure!(ask(CONVERSATION).await?.is_none());
    drop(held);
    connection.await??;
    persister.stop(common::PATIENCE).await
}
