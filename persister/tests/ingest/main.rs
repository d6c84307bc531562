//! From the streams into Postgres: order, copies, edits and deletions, poison, outages.

mod common;

use std::time::Duration;

use anyhow::ensure;
use async_nats::jetstream;
use common::{World, kind, text_content, until, user};
use natterjack_nats::{
    Conversation, GroupId, MessageId,
    services::history::{Dead, ReadPage, Replay},
    subjects::chat,
    topology,
    wire::{Code, Content, Fingerprint, HistoryQuery, Kind, Stored, Void, WireError},
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

fn edit(target: u64, text: &str) -> Content {
    Content::Edit {
        target,
        text: text.into(),
    }
}

#[tokio::test]
async fn edits_and_deletions_count_from_the_sender_only() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let target = world.text(dm, a, "first").await?;
    world.settled().await?;
    world.say(dm, b, edit(target, "forged")).await?;
    world.say(dm, b, Content::Delete { target }).await?;
    world.settled().await?;
    ensure!(state(&world, target).await? == (Some("first".into()), None, None));

    let second = world.say(dm, a, edit(target, "second")).await?;
    let third = world.say(dm, a, edit(target, "third")).await?;
    world.settled().await?;
    ensure!(state(&world, target).await? == (Some("third".into()), Some(third.cast_signed()), None));
    let kept = world
        .sql(
            "select fingerprint from messages where seq = $1",
            &[&target.cast_signed()],
        )
        .await?;
    let original = Fingerprint::of(Kind::Text, Some("first"), None, None);
    ensure!(kept[0].get::<_, &[u8]>(0) == original.as_bytes());

    let deletion = world.say(dm, a, Content::Delete { target }).await?;
    let late = world.say(dm, a, edit(target, "too late")).await?;
    world.settled().await?;
    ensure!(state(&world, target).await? == (None, None, Some(deletion.cast_signed())));
    for gone in [second, third, late] {
        ensure!(
            state(&world, gone).await?.0.is_none(),
            "the text of edit {gone} is left"
        );
    }
    let kept = world
        .sql(
            "select fingerprint from messages where seq = $1",
            &[&second.cast_signed()],
        )
        .await?;
    let original = Fingerprint::of(Kind::Edit, Some("second"), None, Some(target));
    ensure!(kept[0].get::<_, &[u8]>(0) == original.as_bytes());
    ensure!(world.count("select shown from conversations").await? == target.cast_signed());
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn an_admin_deletes_what_others_wrote() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let (admin, member) = (user(1), user(2));
    let group = Conversation::Group(GroupId::from_parts(1, 1));
    for (who, role) in [(admin, 1_i16), (member, 0)] {
        let sql = "insert into members (conversation, user_id, role, joined_at) values ($1, $2, $3, 0)";
        world.sql(sql, &[&group.key(), &who.as_uuid(), &role]).await?;
    }
    let (of_member, of_admin) = (
        world.text(group, member, "m").await?,
        world.text(group, admin, "a").await?,
    );
    persister.stop(common::PATIENCE).await?;
    let deletion = world
        .say(group, admin, Content::Delete { target: of_member })
        .await?;
    // Who deletes was let by an edge that had asked, and those who listened saw it: what has become
    // of the role until it is written does not matter.
    let sql = "update members set role = 0 where user_id = $1";
    world.sql(sql, &[&admin.as_uuid()]).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(state(&world, of_member).await? == (None, None, Some(deletion.cast_signed())));
    world.say(group, admin, edit(of_member, "forged")).await?;
    world.say(group, member, edit(of_admin, "forged")).await?;
    world.settled().await?;
    ensure!(state(&world, of_member).await?.0.is_none());
    ensure!(state(&world, of_admin).await? == (Some("a".into()), None, None));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_target_that_comes_after_its_changes_is_changed_all_the_same() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (a, b) = (user(1), user(2));
    let dm = Conversation::dm(a, b);
    let edited = world.text(dm, a, "one").await?;
    let deleted = world.text(dm, a, "two").await?;
    let edit_seq = world.say(dm, a, edit(edited, "new")).await?;
    let lost_edit = world.say(dm, a, edit(deleted, "new")).await?;
    let deletion = world.say(dm, a, Content::Delete { target: deleted }).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    // As if another persister had taken the targets and was slow.
    persister.stop(common::PATIENCE).await?;
    for target in [edited, deleted] {
        let sql = "delete from messages where seq = $1";
        world.sql(sql, &[&target.cast_signed()]).await?;
    }
    forget_acks(&world).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    ensure!(state(&world, edited).await? == (Some("new".into()), Some(edit_seq.cast_signed()), None));
    ensure!(state(&world, deleted).await? == (None, None, Some(deletion.cast_signed())));
    ensure!(state(&world, lost_edit).await?.0.is_none());
    persister.stop(common::PATIENCE).await
}

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
