//! Client ids that two senders of one conversation share: no accident makes them, but whoever sees
//! a message sees its id and may send under it too. Each sender's id still names one message.

mod common;

use anyhow::ensure;
use common::{World, kind, text_content, user};
use natterjack_nats::{
    Conversation, MessageId, UserId,
    services::history::LookUp,
    wire::{Fingerprint, Kind, Stored},
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

async fn found(
    world: &World,
    sender: UserId,
    conversation: Conversation,
    id: MessageId,
) -> anyhow::Result<Option<u64>> {
    let found = world
        .call(&LookUp {
            conversation,
            sender,
            id,
        })
        .await?;
    if let Some(found) = &found {
        let text = format!("by {sender}");
        ensure!(found.fingerprint == Fingerprint::of(Kind::Text, Some(&text), None, None));
    }
    Ok(found.map(|found| found.seq))
}

#[tokio::test]
async fn an_id_that_two_senders_use_names_a_message_of_each() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    // Once in one batch, once in two.
    for settle in [false, true] {
        let id = MessageId::generate(world.clock.now_ms());
        let by = |sender: UserId| Stored::new(dm, id, sender, 5, text_content(&format!("by {sender}")));
        let mut places = Vec::new();
        for sender in [a, b, b, a] {
            places.push(world.store(&by(sender)).await?);
            if settle {
                world.settled().await?;
            }
        }
        world.settled().await?;
        let rows = world
            .sql(
                "select seq, kind, target from messages where client_id = $1 order by seq",
                &[&id.as_uuid()],
            )
            .await?;
        let rows: Vec<(u64, i16, Option<u64>)> = rows
            .iter()
            .map(|row| {
                let target: Option<i64> = row.get(2);
                (
                    row.get::<_, i64>(0).cast_unsigned(),
                    row.get(1),
                    target.map(i64::cast_unsigned),
                )
            })
            .collect();
        let (text, copy) = (kind(Kind::Text), kind(Kind::Duplicate));
        let expected = [
            (places[0], text, None),
            (places[1], text, None),
            (places[2], copy, Some(places[1])),
            (places[3], copy, Some(places[0])),
        ];
        ensure!(rows == expected, "{rows:?} and not {expected:?}");
        ensure!(found(&world, a, dm, id).await? == Some(places[0]));
        ensure!(found(&world, b, dm, id).await? == Some(places[1]));
        ensure!(found(&world, user(3), dm, id).await?.is_none());
    }
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_database_of_before_is_brought_up_to_date_with_its_rows() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (mut client, connection) = world.connect().await?;
    let first = refinery::Target::Version(1);
    embedded::migrations::runner()
        .set_target(first)
        .run_async(&mut client)
        .await?;
    drop(client);
    connection.await??;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let id = MessageId::generate(world.clock.now_ms());
    let sql = "insert into messages (conversation, seq, sender, client_id, sent_at, kind, text, target) \
        values ($1, 1, $2, $4, 5, 0, $5, null), ($1, 2, $3, $4, 5, 0, $6, null), ($1, 3, $3, $4, 5, 4, null, 2)";
    let (by_a, by_b) = (format!("by {a}"), format!("by {b}"));
    let ids = (dm.key(), a.as_uuid(), b.as_uuid(), id.as_uuid());
    world
        .sql(sql, &[&ids.0, &ids.1, &ids.2, &ids.3, &by_a, &by_b])
        .await?;
    let persister = world.persister().await?;
    ensure!(found(&world, a, dm, id).await? == Some(1));
    ensure!(found(&world, b, dm, id).await? == Some(2));
    ensure!(world.count("select count(*) from messages where twin").await? == 1);
    // A second one of either is refused by Postgres itself, whatever the program thinks.
    for (sender, twin) in [(ids.1, None), (ids.2, Some(true))] {
        let again = "insert into messages (conversation, seq, sender, client_id, sent_at, kind, twin) \
            values ($1, 9, $2, $3, 5, 0, $4)";
        let refused = world.sql(again, &[&ids.0, &sender, &ids.3, &twin]).await;
        ensure!(refused.is_err());
    }
    persister.stop(common::PATIENCE).await
}
