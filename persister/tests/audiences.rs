//! Mutes, audiences and badges against real servers.

mod common;
#[path = "common/people.rs"]
mod people;

use anyhow::{Context as _, ensure};
use common::{PATIENCE, World, user};
use natterjack_nats::{
    Conversation, GroupId, UserId,
    services::conversations::{
        AddMembers, Audiences, Badges, List, Listener, One, RemoveMember, SetMute, audiences,
    },
    wire::{Code, Content, Mute, PushPreview},
};
use natterjack_persister::conversations::statements::{BADGES, LISTENERS};
use natterjack_runtime::{clock::Clock, lifecycle::Tasks, metrics::Metrics};
use people::{code, group, users};
use tokio_postgres::SimpleQueryMessage;
use uuid::Uuid;

fn mute(user: UserId, conversation: Conversation, until: Option<u64>) -> SetMute {
    let mute = Some(Mute {
        until,
        mentions: false,
    });
    SetMute {
        user,
        conversation,
        mute,
    }
}

fn unmute(user: UserId, conversation: Conversation) -> SetMute {
    SetMute {
        user,
        conversation,
        mute: None,
    }
}

async fn badges(world: &World, users: &[UserId]) -> anyhow::Result<Vec<u32>> {
    let users = users.to_vec();
    let badges = world.call(&Badges { users: users.clone() }).await?;
    let named: Vec<UserId> = badges.iter().map(|badge| badge.user).collect();
    ensure!(named == users, "{named:?}");
    Ok(badges.iter().map(|badge| badge.unread).collect())
}

async fn listener(world: &World, conversation: Conversation, user: UserId) -> anyhow::Result<Listener> {
    let found = audiences(&world.client, &[conversation], PATIENCE).await?.pop();
    let members = found.context("no audience")?.members;
    let found = members.into_iter().find(|listener| listener.user == user);
    found.context("not in it")
}

#[tokio::test]
async fn a_mute_is_the_users_own_and_ends() -> anyhow::Result<()> {
    let world = World::start().await?;
    let tasks = Tasks::new();
    let (clock, hands) = Clock::manual(1_800_000_000_000);
    let metrics = Metrics::new("persister");
    natterjack_persister::run_with(&world.args, &tasks, clock.clone(), metrics).await?;
    let [a, b, c] = users(&world).await?;
    let dm = Conversation::dm(a, b);
    let until = clock.now_ms() + 60_000;

    // Before the first message, and seen by the one who did it alone.
    let told = world.call(&mute(a, dm, Some(until))).await?;
    let expected = Mute {
        until: Some(until),
        mentions: false,
    };
    ensure!(told.mute == Some(expected) && told.conversation == dm);
    let mute_of = async |user| {
        let request = One {
            user,
            conversation: dm,
        };
        anyhow::Ok(world.call(&request).await?.mute)
    };
    ensure!(mute_of(a).await? == Some(expected) && mute_of(b).await?.is_none());
    ensure!(listener(&world, dm, a).await?.mute == Some(expected));
    ensure!(listener(&world, dm, b).await?.mute.is_none());
    world.text(dm, b, "hello").await?;
    world.settled().await?;
    ensure!(badges(&world, &[a, b]).await? == [0, 0]);
    let list = |user| List {
        user,
        page: None,
        limit: 10,
    };
    ensure!(world.call(&list(a)).await?.conversations[0].mute == Some(expected));

    // It is over by itself, taken back, or without an end.
    hands.advance(std::time::Duration::from_mins(1));
    ensure!(mute_of(a).await?.is_none() && listener(&world, dm, a).await?.mute.is_none());
    ensure!(badges(&world, &[a]).await? == [1]);
    let ever = world.call(&mute(a, dm, None)).await?.mute.context("not muted")?;
    ensure!(ever.until.is_none() && badges(&world, &[a]).await? == [0]);
    ensure!(world.call(&unmute(a, dm)).await?.mute.is_none() && badges(&world, &[a]).await? == [1]);
    ensure!(world.call(&unmute(a, dm)).await?.mute.is_none());

    // Who is not in it, who does not exist, and what is over.
    ensure!(code(world.call(&mute(c, dm, None)).await) == Some(Code::NotMember));
    let nobody = Conversation::dm(a, user(99));
    ensure!(code(world.call(&mute(a, nobody, None)).await) == Some(Code::NotFound));
    let past = mute(a, dm, Some(clock.now_ms()));
    ensure!(code(world.call(&past).await) == Some(Code::BadRequest));
    ensure!(code(world.call(&mute(a, Conversation::User(a), None)).await) == Some(Code::NotMember));

    // Who comes back to a group comes anew.
    let id = group(&world, a, &[b]).await?;
    let in_group = Conversation::Group(id);
    ensure!(code(world.call(&mute(c, in_group, None)).await) == Some(Code::NotMember));
    ensure!(world.call(&mute(b, in_group, None)).await?.mute.is_some());
    let leave = RemoveMember {
        user: b,
        group: id,
        member: b,
    };
    world.call(&leave).await?;
    let back = AddMembers {
        user: a,
        group: id,
        members: vec![b],
    };
    world.call(&back).await?;
    ensure!(listener(&world, in_group, b).await?.mute.is_none());
    ensure!(world.count("select count(*) from mutes").await? == 0);
    tasks.stop(PATIENCE).await
}

#[tokio::test]
async fn an_audience_is_everybody_with_what_decides_a_push() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b, c] = users(&world).await?;
    let sql = "update users set handle = 'bea', name = 'Bea', push_preview = 1 where id = $1";
    world.sql(sql, &[&b.as_uuid()]).await?;
    let id = group(&world, a, &[b]).await?;
    let in_group = Conversation::Group(id);
    let (dm, own) = (Conversation::dm(a, b), Conversation::dm(c, c));
    let nobody = Conversation::Group(GroupId::from_parts(1, 1));
    let seq = world.text(dm, a, "hello").await?;
    world.settled().await?;
    let insert = "insert into cursors (conversation, user_id, delivered, read) values ($1, $2, $3, $3)";
    let read = seq.cast_signed();
    world.sql(insert, &[&dm.key(), &b.as_uuid(), &read]).await?;

    let asked = [in_group, dm, nobody, own, Conversation::User(a)];
    let found = audiences(&world.client, &asked, PATIENCE).await?;
    let told: Vec<_> = found.iter().map(|audience| audience.conversation).collect();
    ensure!(told == asked, "{told:?}");
    let titles: Vec<_> = found.iter().map(|audience| audience.title.as_deref()).collect();
    ensure!(
        titles == [Some("the group"), None, None, None, None],
        "{titles:?}"
    );
    let sizes: Vec<_> = found.iter().map(|audience| audience.members.len()).collect();
    ensure!(sizes == [2, 2, 0, 1, 0], "{sizes:?}");
    let bea = listener(&world, dm, b).await?;
    let expected = Listener {
        user: b,
        handle: Some("bea".into()),
        name: "Bea".into(),
        joined_at: 0,
        read: seq,
        mute: None,
        push_preview: PushPreview::Sender,
    };
    ensure!(bea == expected, "{bea:?}");
    let in_it = listener(&world, in_group, b).await?;
    ensure!(in_it.joined_at > 0 && in_it.read == 0 && in_it.push_preview == PushPreview::Sender);
    ensure!(listener(&world, dm, a).await?.push_preview == PushPreview::Full);
    let request = Audiences {
        conversations: vec![dm; 101],
    };
    ensure!(code(world.call(&request).await) == Some(Code::BadRequest));
    persister.stop(PATIENCE).await
}

/// Groups of `members` each, straight into the tables; everybody has names of the greatest length.
async fn crowds(world: &World, groups: i32, members: i32) -> anyhow::Result<Vec<Conversation>> {
    let people = "insert into users (id, handle, name, created_at)
        select gen_random_uuid(), 'handle-of-32-characters-' || lpad(n::text, 8, '0'), repeat('🦎', 100), 0
        from generate_series(1, $1) as n";
    world.sql(people, &[&members]).await?;
    let made = "insert into conversations (key, kind, title, member_count)
        select gen_random_uuid(), 1, repeat('🦎', 100), $2 from generate_series(1, $1) returning key";
    let rows = world.sql(made, &[&groups, &members]).await?;
    let fill = "insert into members (conversation, user_id, role, joined_at)
        select c.key, u.id, 0, 1800000000000 from conversations c, users u where c.kind = 1";
    world.sql(fill, &[]).await?;
    let mutes = "insert into mutes (conversation, user_id, until, mentions)
        select conversation, user_id, 9007199254740991, false from members";
    world.sql(mutes, &[]).await?;
    let key = |row: &tokio_postgres::Row| Conversation::Group(GroupId::from_uuid(row.get::<_, Uuid>(0)));
    Ok(rows.iter().map(key).collect())
}

#[tokio::test]
async fn large_audiences_come_in_parts_and_none_is_too_large_for_an_answer() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let groups = crowds(&world, 3, 1_500).await?;
    let request = Audiences {
        conversations: groups.clone(),
    };
    ensure!(world.call(&request).await?.len() == 1, "one fills an answer");
    let found = audiences(&world.client, &groups, PATIENCE).await?;
    let sizes: Vec<_> = found.iter().map(|audience| audience.members.len()).collect();
    ensure!(sizes == [1_500; 3], "{sizes:?}");
    persister.stop(PATIENCE).await
}

#[tokio::test]
async fn a_badge_counts_texts_of_others_that_were_not_read() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b, c] = users(&world).await?;
    let (dm, other) = (Conversation::dm(a, b), Conversation::dm(a, c));
    let id = group(&world, a, &[b, c]).await?;
    let mut last = 0;
    for _ in 0..3 {
        last = world.text(dm, b, "for a").await?;
    }
    world.text(dm, a, "own").await?;
    world.text(other, c, "for a").await?;
    world.text(Conversation::Group(id), c, "for all").await?;
    world.text(Conversation::dm(a, a), a, "a note").await?;
    world.settled().await?;
    ensure!(badges(&world, &[b, a, c, user(99)]).await? == [2, 5, 0, 0]);
    world.say(dm, b, Content::Delete { target: last }).await?;
    world.settled().await?;
    ensure!(badges(&world, &[a]).await? == [4]);
    let insert = "insert into cursors (conversation, user_id, delivered, read) values ($1, $2, $3, $3)";
    let read = last.cast_signed() - 1;
    world.sql(insert, &[&dm.key(), &a.as_uuid(), &read]).await?;
    ensure!(badges(&world, &[a]).await? == [2]);
    world.call(&mute(a, other, None)).await?;
    ensure!(badges(&world, &[a]).await? == [1]);
    let request = Badges {
        users: vec![a; 1_001],
    };
    ensure!(code(world.call(&request).await) == Some(Code::BadRequest));
    persister.stop(PATIENCE).await
}

/// The plan of a statement, as the connections that plan once make it.
async fn plan(world: &World, statement: &str) -> anyhow::Result<String> {
    let (client, connection) = world.connect().await?;
    let settings = "set enable_seqscan = off; set enable_mergejoin = off; set enable_hashjoin = off;
        set enable_memoize = off; set enable_bitmapscan = off";
    client.batch_execute(settings).await?;
    // Unlike a prepared statement, it may have parameters without values.
    let rows = client
        .simple_query(&format!("explain (generic_plan) {statement}"))
        .await?;
    drop(client);
    connection.await??;
    let lines = rows.iter().filter_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn what_the_notifier_asks_is_looked_up_by_keys() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [me, other] = users(&world).await?;
    // Conversations of one user and as many of another's, each with messages, of which one is not read.
    let fill = "
        insert into conversations (key, kind, title, member_count, head, head_at, shown)
            select gen_random_uuid(), 1, 'group', 2, n, n, n from generate_series(4, 16000, 4) as n;
        insert into members (conversation, user_id, role, joined_at)
            select key, case when head % 8 = 0 then 'ME' else 'OTHER' end::uuid, 0, 0 from conversations;
        insert into messages (conversation, seq, sender, client_id, sent_at, kind, text)
            select key, head - n, 'OTHER', gen_random_uuid(), 0, 0, 'hello'
            from conversations, generate_series(0, 3) as n;
        insert into cursors (conversation, user_id, delivered, read)
            select conversation, user_id, head - (head % 80 / 72), head - (head % 80 / 72)
            from members join conversations on key = conversation;
        vacuum analyze";
    let (client, connection) = world.connect().await?;
    let fill = fill.replace("ME", &me.as_uuid().to_string());
    for statement in fill.replace("OTHER", &other.as_uuid().to_string()).split(';') {
        client.batch_execute(statement).await?;
    }
    drop(client);
    connection.await??;
    ensure!(badges(&world, &[me]).await? == [200]);
    for (statement, index) in [
        (BADGES, "Index Only Scan using members_user on"),
        (LISTENERS, "Index Scan using members_pkey on"),
    ] {
        let plan = plan(&world, statement).await?;
        ensure!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
    }
    persister.stop(PATIENCE).await
}
