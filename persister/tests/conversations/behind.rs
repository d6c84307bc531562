//! What only the streams have yet, since Postgres is behind, is in the list and in what a session opens with.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use natterjack_nats::{
    Conversation, GroupId,
    services::{
        conversations::{Heads, List, One, OpenSession},
        history::Sync,
    },
    wire::{Content, ConversationSummary},
};
use tokio_postgres::NoTls;

use crate::{
    common::{self, World, until},
    people::{group, users},
};

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
