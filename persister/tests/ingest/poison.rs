//! What cannot be written is set aside, blocks nothing, and can be replayed.

use std::time::Duration;

use anyhow::ensure;
use async_nats::jetstream;
use natterjack_nats::{
    Conversation, MessageId,
    services::history::{Dead, Replay},
    subjects::chat,
    topology,
    wire::Stored,
};

use crate::{
    common::{self, World, text_content, user},
    forget_acks,
};

#[tokio::test]
async fn poison_is_set_aside_and_blocks_nothing() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    world.text(dm, a, "before").await?;
    let mut poison = vec![
        world.store_raw(&dm, b"garbage".to_vec()).await?,
        world.text(dm, a, "with a \0 in it").await?,
    ];
    let elsewhere = Conversation::User(a);
    let misplaced = Stored::new(elsewhere, MessageId::generate(1), a, 1, text_content("x"));
    poison.push(world.store_raw(&dm, serde_json::to_vec(&misplaced)?).await?);
    world.text(dm, a, "after").await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 2);
    let rows = world
        .sql("select seq, payload, error from dead_letters order by seq", &[])
        .await?;
    let found: Vec<u64> = rows
        .iter()
        .map(|row| row.get::<_, i64>(0).cast_unsigned())
        .collect();
    ensure!(found == poison, "{found:?}");
    ensure!(rows[0].get::<_, &[u8]>(1) == b"garbage");
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_message_whose_place_is_taken_is_set_aside() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let dm = Conversation::dm(user(1), user(2));
    world.text(dm, user(1), "one").await?;
    world.text(dm, user(1), "two").await?;
    world.settled().await?;
    persister.stop(common::PATIENCE).await?;
    // As if the streams had been lost and had counted from 1 again.
    let sql = "update messages set client_id = gen_random_uuid() where text = 'one'";
    world.sql(sql, &[]).await?;
    forget_acks(&world).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 2);
    ensure!(world.count("select count(*) from dead_letters").await? == 1);

    let page = world.call(&Dead::default()).await?;
    let place = page.letters[0].place.clone();
    let at_its_place = world
        .call(&Replay {
            place: Some(place.clone()),
            anew: false,
        })
        .await?;
    ensure!(at_its_place.failed.len() == 1, "{at_its_place:?}");
    let at_the_end = world
        .call(&Replay {
            place: Some(place),
            anew: true,
        })
        .await?;
    ensure!((at_the_end.replayed, at_the_end.left) == (1, 0), "{at_the_end:?}");
    world.settled().await?;
    ensure!(
        world
            .count("select count(*) from messages where text = 'one' and kind = 0")
            .await?
            == 2
    );
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_letter_whose_id_the_stream_still_knows_is_kept() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.persister().await?.stop(common::PATIENCE).await?;
    let sql = "alter table messages add constraint picky check (text is null or text <> 'bad')";
    world.sql(sql, &[]).await?;
    let dm = Conversation::dm(user(1), user(2));
    let stream = world
        .jetstream
        .get_stream(topology::chat_stream(world.shards.of(&dm)))
        .await?;
    let remembers = jetstream::stream::Config {
        duplicate_window: Duration::from_mins(2),
        ..stream.cached_info().config.clone()
    };
    world.jetstream.update_stream(remembers).await?;
    let id = MessageId::generate(world.clock.now_ms());
    let stored = Stored::new(dm, id, user(1), world.clock.now_ms(), text_content("bad"));
    let message = jetstream::message::PublishMessage::build()
        .message_id(stored.nats_msg_id())
        .payload(serde_json::to_vec(&stored)?.into());
    let subject = chat::subject(world.shards, &dm);
    world.jetstream.send_publish(subject, message).await?.await?;
    let persister = world.persister().await?;
    world.settled().await?;
    let replay = |anew| Replay { place: None, anew };
    let anew = world.call(&replay(true)).await?;
    ensure!((anew.replayed, anew.left) == (0, 1), "{anew:?}");
    ensure!(anew.failed[0].error.contains("try again later"), "{anew:?}");
    world
        .sql("alter table messages drop constraint picky", &[])
        .await?;
    let in_place = world.call(&replay(false)).await?;
    ensure!((in_place.replayed, in_place.left) == (1, 0), "{in_place:?}");
    ensure!(
        world
            .count("select count(*) from messages where text = 'bad'")
            .await?
            == 1
    );
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_row_that_postgres_refuses_is_bisected_out() -> anyhow::Result<()> {
    let world = World::start().await?;
    // The schema first, then a rule that only Postgres knows.
    world.persister().await?.stop(common::PATIENCE).await?;
    let sql = "alter table messages add constraint picky check (text is null or text <> 'bad')";
    world.sql(sql, &[]).await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    for number in 0..40 {
        let text = if number % 17 == 5 { "bad" } else { "good" };
        world.text(dm, a, text).await?;
    }
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(world.count("select count(*) from messages").await? == 37);
    ensure!(world.count("select count(*) from dead_letters").await? == 3);

    // An operator sees which, not what they say, and has them written once the cause is gone.
    let page = world
        .call(&Dead {
            limit: Some(2),
            ..Dead::default()
        })
        .await?;
    ensure!(page.letters.len() == 2 && page.more, "{page:?}");
    let after = page.letters.last().map(|letter| letter.place.clone());
    let rest = world
        .call(&Dead {
            after,
            ..Dead::default()
        })
        .await?;
    ensure!(rest.letters.len() == 1 && !rest.more, "{rest:?}");
    let told = serde_json::to_string(&page)?;
    ensure!(told.contains("picky") && !told.contains("\"bad\""), "{told}");
    let in_vain = world.call(&Replay::default()).await?;
    ensure!(
        (in_vain.replayed, in_vain.failed.len(), in_vain.left) == (0, 3, 3),
        "{in_vain:?}"
    );
    world
        .sql("alter table messages drop constraint picky", &[])
        .await?;
    let place = Some(page.letters[0].place.clone());
    let one = world.call(&Replay { place, anew: false }).await?;
    ensure!((one.replayed, one.left) == (1, 2), "{one:?}");
    let others = world.call(&Replay::default()).await?;
    ensure!((others.replayed, others.left) == (2, 0), "{others:?}");
    ensure!(world.count("select count(*) from messages").await? == 40);
    persister.stop(common::PATIENCE).await
}
