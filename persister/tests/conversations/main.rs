//! The conversation list and the opening of a session against real servers: order, pages, unread
//! counts, and what only the streams have yet.

mod behind;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/people.rs"]
mod people;

use anyhow::{Context as _, ensure};
use common::{World, until};
use natterjack_nats::{
    Conversation, UserId,
    services::conversations::{List, Members, One, OpenSession, Related, RemoveMember},
    wire::{Code, Content},
};
use people::{code, group, users};
use tokio_postgres::NoTls;

#[tokio::test]
async fn the_list_is_paged_counted_and_in_order() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let people: [UserId; 9] = users(&world).await?;
    let me = people[0];
    let mut expected = Vec::new();
    for (n, other) in people[1..].iter().enumerate() {
        let dm = Conversation::dm(me, *other);
        for text in 0..=n {
            world.text(dm, *other, &format!("text {text}")).await?;
        }
        world.text(dm, me, "mine").await?;
        // The next one is sent in another millisecond: the order is that of time.
        let now = world.clock.now_ms();
        until("time passes", async || Ok(world.clock.now_ms() > now)).await?;
        expected.insert(0, dm);
    }
    world.settled().await?;
    let request = |page, limit| List {
        user: me,
        page,
        limit,
    };
    let mut found = Vec::new();
    let mut page = None;
    for _ in 0..10 {
        let list = world.call(&request(page, 3)).await?;
        ensure!(list.conversations.len() <= 3);
        found.extend(list.conversations);
        page = list.next;
        if page.is_none() {
            break;
        }
    }
    let names: Vec<_> = found.iter().map(|summary| summary.conversation).collect();
    ensure!(names == expected, "{names:?}");
    let unread: Vec<_> = found.iter().map(|summary| summary.unread).collect();
    ensure!(unread == [8, 7, 6, 5, 4, 3, 2, 1], "{unread:?}");
    let last = found[0].last_message.as_ref().context("none")?;
    ensure!(last.text.as_deref() == Some("mine") && last.sender == me && last.seq == found[0].head);
    ensure!(found[0].peer.as_ref().map(|peer| peer.id) == Some(people[8]));
    // What was read is not unread, and neither is what was deleted.
    let dm = expected[0];
    let texts = "select seq from messages where conversation = $1 and kind = 0 order by seq";
    let seqs: Vec<i64> = world
        .sql(texts, &[&dm.key()])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let insert = "insert into cursors (conversation, user_id, delivered, read) values ($1, $2, $3, $3)";
    world.sql(insert, &[&dm.key(), &me.as_uuid(), &seqs[2]]).await?;
    let target = seqs[3].cast_unsigned();
    world.say(dm, people[8], Content::Delete { target }).await?;
    world.settled().await?;
    let one = world
        .call(&One {
            user: me,
            conversation: dm,
        })
        .await?;
    ensure!(
        one.unread == 4 && one.cursor.read == seqs[2].cast_unsigned(),
        "{one:?}"
    );
    ensure!(code(world.call(&request(Some("nonsense".into()), 3)).await) == Some(Code::BadRequest));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_chat_exists_without_messages_if_its_users_do() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b, c] = users(&world).await?;
    let dm = Conversation::dm(a, b);
    let one = world
        .call(&One {
            user: a,
            conversation: dm,
        })
        .await?;
    ensure!((one.head, one.unread) == (0, 0) && one.peer.is_some_and(|peer| peer.id == b));
    let members = world
        .call(&Members {
            user: b,
            conversation: dm,
        })
        .await?;
    ensure!(members.len() == 2);
    let own = Conversation::dm(a, a);
    ensure!(
        world
            .call(&Members {
                user: a,
                conversation: own
            })
            .await?
            .len()
            == 1
    );
    let nobody = Conversation::dm(a, UserId::from_parts(9, 9));
    for (conversation, user, expected) in [
        (nobody, a, Code::NotFound),
        (dm, c, Code::NotMember),
        (Conversation::User(a), a, Code::NotMember),
    ] {
        ensure!(code(world.call(&One { user, conversation }).await) == Some(expected));
        ensure!(code(world.call(&Members { user, conversation }).await) == Some(expected));
    }
    let stranger = OpenSession {
        user: UserId::from_parts(9, 9),
        resume: None,
    };
    ensure!(code(world.call(&stranger).await) == Some(Code::Unauthorized));
    persister.stop(common::PATIENCE).await
}

/// In the order of `people`.
async fn related(world: &World, user: UserId, people: &[UserId]) -> anyhow::Result<Vec<UserId>> {
    let others = people.to_vec();
    let mut found = world.call(&Related { user, others }).await?;
    found.sort_by_key(|one| people.iter().position(|other| other == one));
    Ok(found)
}

#[tokio::test]
async fn related_are_those_of_a_group_or_of_a_chat_with_a_message() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let people: [UserId; 5] = users(&world).await?;
    let [me, b, c, d, e] = people;
    ensure!(related(&world, me, &people).await?.is_empty());
    // Two who share more than one conversation are named once; a chat without a message is none, and
    // neither is one of others.
    let group = group(&world, b, &[me, c]).await?;
    world.text(Conversation::dm(me, b), b, "hello").await?;
    world.text(Conversation::dm(b, d), d, "not for me").await?;
    world.text(Conversation::dm(me, me), me, "a note").await?;
    world.settled().await?;
    let unknown = UserId::from_parts(9, 9);
    let asked = [me, b, b, c, d, e, unknown];
    ensure!(related(&world, me, &asked).await? == [b, c]);
    ensure!(related(&world, d, &people).await? == [b]);
    let leave = RemoveMember {
        user: me,
        group,
        member: me,
    };
    world.call(&leave).await?;
    ensure!(
        related(&world, me, &people).await? == [b],
        "who leaves has only the chat"
    );
    ensure!(related(&world, c, &people).await? == [b]);

    // Postgres reads and does not write: what comes now is in the streams alone.
    let (mut blocker, connection) = tokio_postgres::connect(&world.args.database_url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let lock = blocker.transaction().await?;
    lock.batch_execute("lock table messages in exclusive mode")
        .await?;
    world.text(Conversation::dm(me, e), e, "the first one").await?;
    ensure!(related(&world, me, &people).await? == [b, e]);
    ensure!(related(&world, e, &people).await? == [me]);
    lock.rollback().await?;
    drop(blocker);
    connection.await??;
    world.settled().await?;
    ensure!(related(&world, e, &people).await? == [me]);

    let many = (0..1_001).map(|n| UserId::from_parts(n, 0)).collect();
    let request = Related {
        user: me,
        others: many,
    };
    ensure!(code(world.call(&request).await) == Some(Code::BadRequest));
    persister.stop(common::PATIENCE).await
}
