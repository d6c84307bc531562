//! The conversation list and the opening of a session against real servers: order, pages, unread
//! counts, and what only the streams have yet.

mod common;
#[path = "common/people.rs"]
mod people;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use common::{World, until};
use natterjack_nats::{
    Conversation, GroupId, UserId,
    services::{
        conversations::{Heads, List, Members, One, OpenSession, Related, RemoveMember},
        history::Sync,
    },
    wire::{Code, Content, ConversationSummary},
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

/// Head, unread count and last text of each.
fn shown(list: &[ConversationSummary]) -> BTreeMap<Conversation, (u64, u32, Option<&str>)> {
    list.iter()
        .map(|summary| {
            let last = summary.last_message.as_ref();
            let text = last.and_then(|last| last.text.as_deref());
            (summary.conversation, (summary.head, summary.unread, text))
        })
        .collect()
}

/// Postgres reads and does not write: all that comes now is in the streams alone.
#[tokio::test]
async fn what_postgres_does_not_have_yet_is_not_missed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [me, b, c, d] = users(&world).await?;
    let group = group(&world, b, &[me]).await?;
    let (with_b, with_c, with_d) = (
        Conversation::dm(me, b),
        Conversation::dm(me, c),
        Conversation::dm(me, d),
    );
    let in_group = Conversation::Group(group);
    let old = world.text(with_b, b, "old").await?;
    let settled = world.text(with_d, d, "settled").await?;
    world.text(in_group, b, "old in the group").await?;
    world.settled().await?;
    // The copy of the watermark lags a little.
    tokio::time::timeout(common::PATIENCE, async {
        loop {
            let session = world
                .call(&OpenSession {
                    user: me,
                    resume: None,
                })
                .await?;
            if session.watermarks[world.shards.of(&with_b).index()] >= old {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await??;

    let (mut blocker, connection) = tokio_postgres::connect(&world.args.database_url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let lock = blocker.transaction().await?;
    lock.batch_execute("lock table messages in exclusive mode")
        .await?;
    world.text(with_b, b, "one").await?;
    let two = world.text(with_b, b, "two").await?;
    let edit = Content::Edit {
        target: two,
        text: "two!".into(),
    };
    let edited = world.say(with_b, b, edit).await?;
    let new = world.text(with_c, c, "new chat").await?;
    let said = world.text(in_group, b, "new in the group").await?;

    let resume = BTreeMap::from([
        (with_b, old),
        (with_d, settled),
        (Conversation::User(me), u64::MAX),
    ]);
    let session = world
        .call(&OpenSession {
            user: me,
            resume: Some(resume),
        })
        .await?;
    ensure!(session.behind_complete && session.groups == [group]);
    let behind: BTreeMap<_, _> = session
        .behind
        .iter()
        .map(|b| (b.conversation, (b.cursor, b.head)))
        .collect();
    let expected = BTreeMap::from([(with_b, (old, edited)), (with_c, (0, new)), (in_group, (0, said))]);
    ensure!(behind == expected, "{behind:?}");
    let list = world
        .call(&List {
            user: me,
            page: None,
            limit: 100,
        })
        .await?
        .conversations;
    ensure!(list == session.conversations, "{list:?}");
    let listed = shown(&list);
    let expected = BTreeMap::from([
        (with_b, (edited, 3, Some("two!"))),
        (with_c, (new, 1, Some("new chat"))),
        (with_d, (settled, 1, Some("settled"))),
        (in_group, (said, 2, Some("new in the group"))),
    ]);
    ensure!(listed == expected, "{listed:?}");
    ensure!(list[3].conversation == with_d, "news first");
    let one = world
        .call(&One {
            user: me,
            conversation: with_b,
        })
        .await?;
    ensure!(list.contains(&one), "{one:?}");
    // An edge that compares hears of all of it, and of what Postgres has if it goes back so far.
    let zero = vec![0; world.shards.count().into()];
    let heads = |after: &[u64], groups: &[GroupId]| Heads {
        user: me,
        groups: groups.to_vec(),
        after: after.to_vec(),
    };
    let stand = world.call(&heads(&session.watermarks, &[group])).await?;
    let beyond: BTreeMap<_, _> = stand.heads.into_iter().collect();
    for (conversation, head) in [(with_b, edited), (with_c, new), (in_group, said)] {
        ensure!(beyond.get(&conversation) == Some(&head), "{beyond:?}");
        ensure!(stand.told[world.shards.of(&conversation).index()] >= head);
    }
    let all = world.call(&heads(&zero, &[group])).await?.heads;
    let all: BTreeMap<_, _> = all.into_iter().collect();
    ensure!(all.get(&with_d) == Some(&settled) && all.contains_key(&Conversation::User(me)));
    ensure!(
        beyond
            .iter()
            .all(|(conversation, head)| all.get(conversation) == Some(head)),
        "{all:?}"
    );
    let others = world.call(&heads(&zero, &[])).await?.heads;
    ensure!(
        others.len() == all.len() - 1,
        "groups are those that were named: {others:?}"
    );
    ensure!(world.call(&heads(&stand.told, &[group])).await?.heads.is_empty());
    // Cut short, the rest follows, and nothing is left out.
    let first = world
        .call(&List {
            user: me,
            page: None,
            limit: 2,
        })
        .await?;
    ensure!(first.conversations.len() == 2);
    let rest = world
        .call(&List {
            user: me,
            page: first.next,
            limit: 100,
        })
        .await?;
    ensure!(
        rest.conversations
            .iter()
            .any(|summary| summary.conversation == with_d)
    );

    lock.rollback().await?;
    drop(blocker);
    connection.await??;
    world.settled().await?;
    let list = world
        .call(&List {
            user: me,
            page: None,
            limit: 100,
        })
        .await?
        .conversations;
    let after = shown(&list);
    ensure!(after == expected, "the same from Postgres: {after:?}");
    persister.stop(common::PATIENCE).await
}

/// More lies beyond the watermark than is kept in memory.
#[tokio::test]
async fn what_a_long_outage_of_postgres_left_is_not_missed() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [me] = users(&world).await?;
    let all = (1..).map(|number| Conversation::dm(me, common::user(number)));
    let shard = world.shards.get(0).context("the first")?;
    let chats: Vec<_> = all
        .filter(|chat| world.shards.of(chat) == shard)
        .take(600)
        .collect();
    let (mut blocker, connection) = world.connect().await?;
    let lock = blocker.transaction().await?;
    lock.batch_execute("lock table messages in exclusive mode")
        .await?;
    let here = &world;
    let texts = chats.chunks(6).map(|some| async move {
        for _ in 0..14 {
            for chat in some {
                here.text(*chat, me, "x").await?;
            }
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(texts).await?;
    let new = world.text(chats[7], me, "new").await?;
    let request = OpenSession {
        user: me,
        resume: Some(BTreeMap::new()),
    };
    let session = world.call(&request).await?;
    let (newest, summary) = (&session.behind[0], &session.conversations[0]);
    ensure!(
        newest.head == new && newest.conversation == chats[7],
        "{newest:?}"
    );
    ensure!(summary.head == new && session.behind.len() == 600 && session.behind_complete);
    let text = summary
        .last_message
        .as_ref()
        .and_then(|last| last.text.as_deref());
    ensure!(text == Some("new"), "{summary:?}");
    let heads = Heads {
        user: me,
        groups: vec![],
        after: session.watermarks,
    };
    let stand = world.call(&heads).await?;
    ensure!(stand.heads.contains(&(chats[7], new)));
    lock.rollback().await?;
    drop(blocker);
    connection.await??;
    world.settled().await?;
    let limit = 10;
    let sync = Sync {
        user: me,
        cursor: Some(vec![0; world.shards.count().into()]),
        limit,
    };
    // The copy of the watermark lags a little, and what lies beyond it may be all of the stream.
    until("it is told", async || {
        let session = world.call(&request).await?;
        ensure!(session.behind.iter().any(|behind| behind.head == new));
        let answer = world.call(&sync).await;
        Ok(answer.is_ok_and(|answer| answer.messages.len() == limit))
    })
    .await?;
    persister.stop(common::PATIENCE).await
}

/// The server answers for 1,024 subjects at once, however few of them are new.
#[tokio::test]
async fn more_chats_in_a_stream_than_the_server_answers_for_are_not_missed() -> anyhow::Result<()> {
    let world = World::start().await?;
    // Makes the tables.
    world.persister().await?.stop(common::PATIENCE).await?;
    let [me] = users(&world).await?;
    let all = (1..).map(|number| Conversation::dm(me, common::user(number)));
    let shard = world.shards.get(0).context("the first")?;
    let chats: Vec<_> = all
        .filter(|chat| world.shards.of(chat) == shard)
        .take(1_100)
        .collect();
    let here = &world;
    let texts = chats.chunks(100).map(|some| async move {
        for chat in some {
            here.text(*chat, me, "x").await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(texts).await?;
    let persister = world.persister().await?;
    world.settled().await?;
    let cursor = Some(vec![0; world.shards.count().into()]);
    let limit = 10;
    let sync = Sync {
        user: me,
        cursor,
        limit,
    };
    let new = world.text(chats[7], me, "new").await?;
    // The copy of the watermark lags a little, and what lies beyond it may be all of the stream.
    until("it is told", async || {
        let request = OpenSession {
            user: me,
            resume: Some(BTreeMap::new()),
        };
        let session = world.call(&request).await?;
        ensure!(session.behind.iter().any(|behind| behind.head == new));
        Ok(world.call(&sync).await?.messages.len() == limit)
    })
    .await?;
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
