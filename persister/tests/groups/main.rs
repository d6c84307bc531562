//! Groups against real servers: rights, limits, events.

#[path = "../common/mod.rs"]
mod common;
mod making;
#[path = "../common/people.rs"]
mod people;

use anyhow::{Context as _, ensure};
use common::World;
use futures::future::join_all;
use natterjack_nats::{
    Conversation, GroupId, UserId,
    services::conversations::{AddMembers, CreateGroup, Members, One, RemoveMember, Rename, SetRole},
    wire::{Code, Event, Kind, Role},
};
use people::{code, group, users};

#[derive(Debug, Clone, Copy)]
enum Act {
    Rename,
    Add,
    Remove(usize),
    SetRole(usize, Role),
    Look,
}

#[tokio::test]
async fn rights_are_those_of_the_table() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let people: [UserId; 7] = users(&world).await?;
    const OWNER: usize = 0;
    const OWNER_2: usize = 1;
    const ADMIN: usize = 2;
    const ADMIN_2: usize = 3;
    const MEMBER: usize = 4;
    const MEMBER_2: usize = 5;
    const STRANGER: usize = 6;
    let (no, not) = (Some(Code::Forbidden), Some(Code::NotMember));
    // Each in a new group with two of every role. What succeeds answers no code.
    let table = [
        (OWNER, Act::Rename, None),
        (ADMIN, Act::Rename, None),
        (MEMBER, Act::Rename, no),
        (STRANGER, Act::Rename, not),
        (OWNER, Act::Add, None),
        (ADMIN, Act::Add, None),
        (MEMBER, Act::Add, no),
        (STRANGER, Act::Add, not),
        (OWNER, Act::Remove(ADMIN), None),
        (OWNER, Act::Remove(MEMBER), None),
        (OWNER, Act::Remove(OWNER_2), no),
        (OWNER, Act::Remove(STRANGER), Some(Code::NotFound)),
        (ADMIN, Act::Remove(MEMBER), None),
        (ADMIN, Act::Remove(ADMIN_2), no),
        (ADMIN, Act::Remove(OWNER), no),
        (MEMBER, Act::Remove(MEMBER_2), no),
        (MEMBER, Act::Remove(STRANGER), no),
        (STRANGER, Act::Remove(MEMBER), not),
        (OWNER, Act::Remove(OWNER), None),
        (ADMIN, Act::Remove(ADMIN), None),
        (MEMBER, Act::Remove(MEMBER), None),
        (STRANGER, Act::Remove(STRANGER), not),
        (OWNER, Act::SetRole(MEMBER, Role::Owner), None),
        (OWNER, Act::SetRole(OWNER_2, Role::Member), None),
        (OWNER, Act::SetRole(OWNER, Role::Admin), None),
        (OWNER, Act::SetRole(STRANGER, Role::Admin), Some(Code::NotFound)),
        (ADMIN, Act::SetRole(MEMBER, Role::Admin), no),
        (MEMBER, Act::SetRole(MEMBER, Role::Owner), no),
        (STRANGER, Act::SetRole(STRANGER, Role::Owner), not),
        (MEMBER, Act::Look, None),
        (STRANGER, Act::Look, not),
    ];
    for (actor, act, expected) in table {
        let group = group(&world, people[OWNER], &people[1..STRANGER]).await?;
        for (member, role) in [
            (OWNER_2, Role::Owner),
            (ADMIN, Role::Admin),
            (ADMIN_2, Role::Admin),
        ] {
            let (user, member) = (people[OWNER], people[member]);
            world
                .call(&SetRole {
                    user,
                    group,
                    member,
                    role,
                })
                .await?;
        }
        let user = people[actor];
        let found = match act {
            Act::Rename => code(
                world
                    .call(&Rename {
                        user,
                        group,
                        title: "new".into(),
                    })
                    .await,
            ),
            Act::Add => {
                let members = vec![people[STRANGER], people[MEMBER]];
                code(world.call(&AddMembers { user, group, members }).await)
            }
            Act::Remove(whom) => {
                let member = people[whom];
                code(world.call(&RemoveMember { user, group, member }).await)
            }
            Act::SetRole(whom, role) => {
                let member = people[whom];
                code(
                    world
                        .call(&SetRole {
                            user,
                            group,
                            member,
                            role,
                        })
                        .await,
                )
            }
            Act::Look => {
                let conversation = Conversation::Group(group);
                code(world.call(&Members { user, conversation }).await)
            }
        };
        ensure!(found == expected, "{actor} {act:?}: {found:?}, not {expected:?}");
    }
    // A group that does not exist says the same as one that one is not in.
    let (user, conversation) = (people[OWNER], Conversation::Group(GroupId::from_parts(1, 1)));
    ensure!(code(world.call(&One { user, conversation }).await) == Some(Code::NotMember));
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn a_group_keeps_an_owner_to_its_end() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b] = users(&world).await?;
    let group = group(&world, a, &[b]).await?;
    let leave = |user| RemoveMember {
        user,
        group,
        member: user,
    };
    let role = |user, member, role| SetRole {
        user,
        group,
        member,
        role,
    };
    ensure!(code(world.call(&leave(a)).await) == Some(Code::LastOwner));
    ensure!(code(world.call(&role(a, a, Role::Member)).await) == Some(Code::LastOwner));
    world.call(&role(a, b, Role::Owner)).await?;
    world.call(&leave(a)).await?;
    ensure!(code(world.call(&leave(a)).await) == Some(Code::NotMember));
    // The last one may go.
    world.call(&leave(b)).await?;
    ensure!(world.count("select count(*) from members").await? == 0);
    let unknown = UserId::from_parts(9, 9);
    let request = CreateGroup {
        user: a,
        request_id: None,
        title: "x".into(),
        members: vec![b, unknown],
    };
    let error = world.call(&request).await.err().context("refused")?;
    ensure!(
        error.code == Code::NotFound && error.message.contains(&unknown.to_string()),
        "{error}"
    );
    for title in ["", " ", "a\nb", &"x".repeat(101)] {
        let request = CreateGroup {
            user: a,
            request_id: None,
            title: title.into(),
            members: vec![],
        };
        ensure!(
            code(world.call(&request).await) == Some(Code::BadRequest),
            "{title:?}"
        );
    }
    persister.stop(common::PATIENCE).await
}

#[tokio::test]
async fn of_fifty_joins_at_one_below_the_limit_one_succeeds() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    world.args.group_members_max = 5;
    let (one, two) = (world.persister().await?, world.persister().await?);
    let people: [UserId; 54] = users(&world).await?;
    let too_many = CreateGroup {
        user: people[0],
        request_id: None,
        title: "x".into(),
        members: people[1..6].to_vec(),
    };
    ensure!(code(world.call(&too_many).await) == Some(Code::GroupFull));
    let group = group(&world, people[0], &people[1..4]).await?;
    let requests: Vec<AddMembers> = people[4..]
        .iter()
        .map(|user| AddMembers {
            user: people[0],
            group,
            members: vec![*user],
        })
        .collect();
    let outcomes = join_all(requests.iter().map(|request| world.call(request))).await;
    let added = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let full = outcomes
        .into_iter()
        .filter_map(code)
        .filter(|code| *code == Code::GroupFull)
        .count();
    ensure!((added, full) == (1, 49), "{added} added, {full} refused");
    ensure!(world.count("select count(*) from members").await? == 5);
    ensure!(
        world
            .count("select member_count::bigint from conversations where kind = 1")
            .await?
            == 5
    );
    // Those who are in already take no room.
    let again = AddMembers {
        user: people[0],
        group,
        members: people[1..4].to_vec(),
    };
    ensure!(world.call(&again).await?.member_count == Some(5));
    one.stop(common::PATIENCE).await?;
    two.stop(common::PATIENCE).await
}

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

#[tokio::test]
async fn every_change_is_told_once_and_in_order() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b, c] = users(&world).await?;
    let group = group(&world, a, &[b, b, a]).await?;
    let conversation = Conversation::Group(group);
    let add = AddMembers {
        user: a,
        group,
        members: vec![b, c],
    };
    let summary = world.call(&add).await?;
    ensure!(
        summary.member_count == Some(3) && summary.role == Some(Role::Owner),
        "{summary:?}"
    );
    // The answer means that the events are on their way, and knows them.
    ensure!(
        summary
            .last_message
            .as_ref()
            .is_some_and(|last| last.kind == Kind::Event),
        "{summary:?}"
    );
    ensure!(world.count("select count(*) from outbox").await? == 0);
    world
        .call(&Rename {
            user: a,
            group,
            title: "new".into(),
        })
        .await?;
    world
        .call(&Rename {
            user: a,
            group,
            title: "new".into(),
        })
        .await?;
    let role = Role::Admin;
    for _ in 0..2 {
        world
            .call(&SetRole {
                user: a,
                group,
                member: b,
                role,
            })
            .await?;
    }
    world
        .call(&RemoveMember {
            user: b,
            group,
            member: c,
        })
        .await?;
    world.settled().await?;
    let member = Role::Member;
    let expected = [
        Event::Created {
            title: "the group".into(),
        },
        Event::MemberAdded {
            user: b,
            role: member,
        },
        Event::MemberAdded {
            user: c,
            role: member,
        },
        Event::Renamed { title: "new".into() },
        Event::RoleChanged { user: b, role },
        Event::MemberRemoved { user: c },
    ];
    let found = events(&world, conversation).await?;
    ensure!(found == expected, "{found:?}");
    ensure!(events(&world, Conversation::User(b)).await? == [Event::Joined { group }]);
    ensure!(events(&world, Conversation::User(c)).await? == [Event::Joined { group }, Event::Left { group }]);
    persister.stop(common::PATIENCE).await
}
