//! Making a group: once for a request, and under a key that nobody chooses.

use std::collections::BTreeSet;

use anyhow::ensure;
use natterjack_nats::{
    Conversation, RequestId, UserId,
    services::conversations::{CreateGroup, One, RemoveMember, Rename, SetRole},
    wire::{Code, Role},
};
use uuid::Uuid;

use crate::{
    common::{self, World},
    people::{code, group, users},
};

#[tokio::test]
async fn a_group_that_is_asked_for_again_is_the_same() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b]: [UserId; 2] = users(&world).await?;
    let request = CreateGroup {
        user: a,
        request_id: Some(RequestId::from_parts(5, 5)),
        title: "pond".into(),
        members: vec![b],
    };
    // The answer was late, and the second request came while the first was at work.
    let (first, second) = tokio::join!(world.call(&request), world.call(&request));
    let (first, second) = (first?, second?);
    ensure!(second.conversation == first.conversation);
    ensure!(
        world
            .count("select count(*) from conversations where kind = 1")
            .await?
            == 1
    );
    ensure!(world.count("select count(*) from members").await? == 2);
    let Conversation::Group(group) = first.conversation else {
        anyhow::bail!("{} is no group", first.conversation);
    };
    // It is answered as it is by now, whatever else is asked for by the same id.
    let title = "lake".to_owned();
    world
        .call(&Rename {
            user: a,
            group,
            title,
        })
        .await?;
    let again = CreateGroup {
        title: "sea".into(),
        members: vec![],
        ..request.clone()
    };
    let again = world.call(&again).await?;
    ensure!(again.conversation == first.conversation && again.title.as_deref() == Some("lake"));
    ensure!(again.member_count == Some(2), "{again:?}");
    // Who has left it is not in it again.
    let (user, member, role) = (a, b, Role::Owner);
    world
        .call(&SetRole {
            user,
            group,
            member,
            role,
        })
        .await?;
    world
        .call(&RemoveMember {
            user,
            group,
            member: a,
        })
        .await?;
    ensure!(code(world.call(&request).await) == Some(Code::NotMember));
    ensure!(world.count("select count(*) from members").await? == 1);
    persister.stop(common::PATIENCE).await
}

/// All kinds of conversations share one key space: whoever could choose a group's key would own the conversation that
/// has it, or will have it.
#[tokio::test]
async fn nobody_chooses_the_key_of_a_group() -> anyhow::Result<()> {
    let world = World::start().await?;
    let persister = world.persister().await?;
    let [a, b, eve]: [UserId; 3] = users(&world).await?;
    let theirs = group(&world, a, &[b]).await?;
    let own = |user, wanted: Uuid| CreateGroup {
        user,
        request_id: Some(RequestId::from_uuid(wanted)),
        title: "mine".into(),
        members: vec![],
    };
    // That of a 1:1 chat before its first message, of a user, of a group of others, and of what others asked for.
    let requested = world.call(&own(a, Uuid::from_u128(7))).await?.conversation;
    let wanted = [
        Conversation::dm(a, b).key(),
        Conversation::dm(a, eve).key(),
        a.as_uuid(),
        eve.as_uuid(),
        theirs.as_uuid(),
        requested.key(),
        Uuid::from_u128(7),
    ];
    let mut made = BTreeSet::from([Conversation::Group(theirs), requested]);
    for key in wanted {
        let group = world.call(&own(eve, key)).await?;
        ensure!(
            group.role == Some(Role::Owner) && group.member_count == Some(1),
            "{group:?}"
        );
        ensure!(made.insert(group.conversation), "{key}: {group:?} was there");
        ensure!(!wanted.contains(&group.conversation.key()), "{key}: {group:?}");
    }
    let keys = world
        .count("select count(*) from conversations where kind = 1")
        .await?;
    ensure!(usize::try_from(keys)? == made.len(), "{keys} groups");
    // The others' are as they were, and eve is in neither.
    for (conversation, count) in [(Conversation::Group(theirs), 2), (requested, 1)] {
        let seen = world
            .call(&One {
                user: a,
                conversation,
            })
            .await?;
        ensure!(seen.member_count == Some(count), "{seen:?}");
        let user = eve;
        ensure!(code(world.call(&One { user, conversation }).await) == Some(Code::NotMember));
    }
    let (user, conversation) = (eve, Conversation::dm(a, b));
    ensure!(code(world.call(&One { user, conversation }).await) == Some(Code::NotMember));
    persister.stop(common::PATIENCE).await
}
